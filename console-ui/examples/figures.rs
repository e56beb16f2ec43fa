//! How long drawing takes: `cargo run --release -p console-ui --example figures`
//!
//! The aims: a whole picture of 1920 × 1080 within 16 ms, a usual change within 4 ms, on one core.

use std::time::{Duration, Instant};

use console_ui::{Console, Time, View, samples};
use egui::{Event, Pos2, RawInput, Rect, pos2, vec2};
use raster::{Renderer, Size};

const ROUNDS: usize = 60;
const SIZE: Size = Size { width: 1920, height: 1080 };

/// What one frame cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    layout: Duration,
    meshes: Duration,
    pixels: Duration,
    changed: usize,
}

struct Bench {
    context: egui::Context,
    console: Console,
    renderer: Renderer,
    view: View,
}

impl Bench {
    fn new(view: View) -> Bench {
        let context = egui::Context::default();
        let console = Console::new(&context);
        let mut bench = Bench { context, console, renderer: Renderer::new(SIZE), view };
        for _ in 0..3 {
            bench.frame(Vec::new());
        }
        bench
    }

    fn frame(&mut self, events: Vec<Event>) -> Cost {
        let began = Instant::now();
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, vec2(1920.0, 1080.0)));
        let input = RawInput { screen_rect, events, focused: true, ..RawInput::default() };
        let output = self.context.run_ui(input, |ui| drop(self.console.show(ui, &self.view)));
        let laid_out = Instant::now();
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        let meshed = Instant::now();
        let damage = self.renderer.draw(&primitives, output.textures_delta, output.pixels_per_point);
        let side = |from: i32, to: i32| usize::try_from(to - from).unwrap_or(0);
        let pixels = |area: &raster::Area| side(area.left, area.right) * side(area.top, area.bottom);
        Cost {
            layout: laid_out - began,
            meshes: meshed - laid_out,
            pixels: meshed.elapsed(),
            changed: damage.iter().map(pixels).sum(),
        }
    }
}

/// The median of some frames.
fn print(name: &str, mut bench: Bench, mut change: impl FnMut(&mut Bench, usize) -> Vec<Event>) {
    let mut costs: Vec<Cost> = (0..ROUNDS)
        .map(|round| {
            let events = change(&mut bench, round);
            bench.frame(events)
        })
        .collect();
    costs.sort_by_key(|cost| cost.pixels);
    let Cost { layout, meshes, pixels, changed } = costs[ROUNDS / 2];
    println!(
        "{name:<34} pixels {:>5.2} ms   meshes {:>5.2} ms   layout {:>5.2} ms   {:>5.1} % redrawn",
        pixels.as_secs_f64() * 1e3,
        meshes.as_secs_f64() * 1e3,
        layout.as_secs_f64() * 1e3,
        percent(changed)
    );
}

fn main() {
    println!("{} × {}, median of {ROUNDS} frames", SIZE.width, SIZE.height);
    print("everything, 9 nodes", Bench::new(samples::drift()), |bench, _| {
        bench.renderer.forget();
        Vec::new()
    });
    print("everything, 256 nodes", Bench::new(samples::large()), |bench, _| {
        bench.renderer.forget();
        Vec::new()
    });
    print("nothing", Bench::new(samples::drift()), |_, _| Vec::new());
    print("a second passes", Bench::new(samples::drift()), |bench, _| {
        bench.view.now = Time(bench.view.now.0 + 1_000_000_000);
        Vec::new()
    });
    print("a node reports", Bench::new(samples::drift()), |bench, round| {
        bench.view.fleet.nodes[4].properties[0].desired = Some(format!("{round}"));
        Vec::new()
    });
    print("the mouse moves over the cards", Bench::new(samples::drift()), |_, round| {
        let along = f32::from(u8::try_from(round % 200).unwrap_or(0)) * 17.0;
        vec![Event::PointerMoved(pos2(200.0 + along, 300.0))]
    });
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn percent(pixels: usize) -> f64 {
    pixels as f64 * 100.0 / SIZE.pixels() as f64
}
