//! The console's main views, drawn by its own renderer.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use console_ui::{Console, Request, View, samples};
use egui::{Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, Theme, pos2, vec2};
use raster::{Renderer, Size};

/// How many pixels each has, at one point a pixel.
pub(crate) const WIDTH: u16 = 1600;
/// See [`WIDTH`].
pub(crate) const HEIGHT: u16 = 1000;

/// One of them.
pub(crate) struct Picture {
    /// What it shows; the file is called so.
    pub(crate) name: &'static str,
    /// Three bytes for each pixel, row by row.
    pub(crate) rgb: Vec<u8>,
}

/// All that the documentation has.
pub(crate) fn all() -> Vec<Picture> {
    // Within the second card.
    let at = pos2(600.0, 300.0);
    vec![
        Screen::new(samples::healthy(), Theme::Dark).click(at).photograph("healthy"),
        Screen::new(samples::drift(), Theme::Dark).click(at).photograph("drift"),
        Screen::new(samples::drift(), Theme::Light).click(at).photograph("drift-light"),
        Screen::new(samples::master_lost(), Theme::Dark).photograph("master-lost"),
        Screen::new(samples::restored(), Theme::Dark).photograph("restored"),
        Screen::new(samples::past_moment(), Theme::Dark).back_to(samples::PAST).photograph("past"),
    ]
}

impl Picture {
    pub(crate) fn write(&self, file: &Path) -> Result<(), png::EncodingError> {
        let file = BufWriter::new(File::create(file)?);
        let mut encoder = png::Encoder::new(file, WIDTH.into(), HEIGHT.into());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.write_header()?.write_image_data(&self.rgb)
    }
}

/// A console that is used before it is photographed.
pub(crate) struct Screen {
    context: egui::Context,
    console: Console,
    view: View,
    renderer: Renderer,
    time: f64,
}

impl Screen {
    pub(crate) fn new(view: View, theme: Theme) -> Screen {
        let context = egui::Context::default();
        let console = Console::new(&context);
        context.set_theme(theme);
        let size = Size { width: WIDTH.into(), height: HEIGHT.into() };
        let mut screen = Screen { context, console, view, renderer: Renderer::new(size), time: 0.0 };
        screen.frame(Vec::new());
        screen.frame(Vec::new());
        screen
    }

    fn click(mut self, pos: Pos2) -> Screen {
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
    fn back_to(mut self, index: u64) -> Screen {
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
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, vec2(WIDTH.into(), HEIGHT.into())));
        let input =
            RawInput { screen_rect, events, time: Some(self.time), focused: true, ..RawInput::default() };
        let mut requests = Vec::new();
        let output = self.context.run_ui(input, |ui| requests.extend(self.console.show(ui, &self.view)));
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        self.renderer.draw(&primitives, output.textures_delta, output.pixels_per_point);
        requests
    }

    pub(crate) fn photograph(mut self, name: &'static str) -> Picture {
        self.frame(Vec::new());
        Picture { name, rgb: self.renderer.rgb() }
    }
}
