//! Draws the console's main views into PNG files, without a window:
//! `cargo run --release -p console-ui --example pictures -- docs/pictures`

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use console_ui::{Console, Request, View, samples};
use egui::{Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, Theme, pos2, vec2};
use raster::{Renderer, Size};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "docs/pictures".into()));
    std::fs::create_dir_all(&folder)?;
    let at = pos2(600.0, 300.0);
    Picture::new(samples::healthy(), Theme::Dark).click(at).save(&folder, "healthy")?;
    Picture::new(samples::drift(), Theme::Dark).click(at).save(&folder, "drift")?;
    Picture::new(samples::drift(), Theme::Light).click(at).save(&folder, "drift-light")?;
    Picture::new(samples::master_lost(), Theme::Dark).save(&folder, "master-lost")?;
    Picture::new(samples::restored(), Theme::Dark).save(&folder, "restored")?;
    Picture::new(samples::past_moment(), Theme::Dark).back_to(samples::PAST).save(&folder, "past")?;
    Ok(())
}

/// A console that is used and then drawn.
struct Picture {
    context: egui::Context,
    console: Console,
    view: View,
    renderer: Renderer,
    time: f64,
}

impl Picture {
    fn new(view: View, theme: Theme) -> Picture {
        let context = egui::Context::default();
        let console = Console::new(&context);
        context.set_theme(theme);
        let mut picture = Picture {
            context,
            console,
            view,
            renderer: Renderer::new(Size { width: 1600, height: 1000 }),
            time: 0.0,
        };
        picture.frame(Vec::new());
        picture.frame(Vec::new());
        picture
    }

    fn click(mut self, pos: Pos2) -> Picture {
        let button = |pressed| Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.frame(vec![Event::PointerMoved(pos)]);
        self.frame(vec![button(true)]);
        self.frame(vec![button(false)]);
        self.frame(vec![Event::PointerGone]);
        self
    }

    /// Steps back in time to a command.
    fn back_to(mut self, index: u64) -> Picture {
        let wanted = [Request::Look(Some(index))];
        let key = |pressed| Event::Key {
            key: Key::Comma,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: Modifiers::NONE,
        };
        while self.frame(vec![key(true), key(false)]) != wanted {}
        self
    }

    fn frame(&mut self, events: Vec<Event>) -> Vec<Request> {
        self.time += 1.0 / 60.0;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, vec2(1600.0, 1000.0)));
        let input =
            RawInput { screen_rect, events, time: Some(self.time), focused: true, ..RawInput::default() };
        let mut requests = Vec::new();
        let output = self.context.run_ui(input, |ui| requests.extend(self.console.show(ui, &self.view)));
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        self.renderer.draw(&primitives, output.textures_delta, output.pixels_per_point);
        requests
    }

    fn save(mut self, folder: &Path, name: &str) -> Result<(), Box<dyn std::error::Error>> {
        self.frame(Vec::new());
        let file = BufWriter::new(File::create(folder.join(format!("{name}.png")))?);
        let mut encoder = png::Encoder::new(file, 1600, 1000);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.write_header()?.write_image_data(&self.renderer.rgb())?;
        Ok(())
    }
}
