//! The window: events in, pixels out.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use console::Core;
use console_ui::{Console, Link, Request, View, repaint_after};
use egui::{Event, OutputCommand, ThemePreference, ViewportId, ViewportOutput};
use raster::{Area, Renderer, Size};
use softbuffer::Surface;
use winit::application::ApplicationHandler;
use winit::dpi::LogicalSize;
use winit::event::{StartCause, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, OwnedDisplayHandle};
use winit::window::{Window, WindowId};

use crate::clipboard::{self, Clipboard, SystemClipboard};
use crate::looks::{KeptLooks, Looks, Scale, Theme};

/// Letters are kept in one texture: as wide as this, and as high as need be.
const TEXTURE_SIDE_MAX: usize = 2048;
/// Requests that the core could not take yet. An operator cannot click that fast.
const UNSENT_MAX: usize = 256;
/// What egui's own clipboard holds, which knows no other program: with nothing in it, it would not say that
/// something is to be pasted.
const TO_BE_PASTED: &str = "from the system";

/// Something to be seen has changed.
#[derive(Debug)]
pub(crate) struct Woken;

/// What the window shows.
pub(crate) enum Source {
    /// A console at work.
    Core(Core),
    /// Why there is none.
    Nothing(Arc<View>),
}

/// How the window begins.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) looks: Looks,
    pub(crate) kept: KeptLooks,
    pub(crate) started: Instant,
}

/// Shows the window until it is closed.
pub(crate) fn run(event_loop: EventLoop<Woken>, source: Source, beginning: Beginning) -> anyhow::Result<()> {
    let Beginning { looks, kept, started } = beginning;
    let context = egui::Context::default();
    context.set_theme(ThemePreference::from(looks.theme));
    context.set_zoom_factor(looks.scale.factor());
    let console = Console::new(&context);
    let clipboard =
        Clipboard::start(SystemClipboard::default(), clipboard::PATIENCE).context("cannot start a thread")?;
    let display = softbuffer::Context::new(event_loop.owned_display_handle())
        .map_err(|error| anyhow::anyhow!("cannot draw on this display: {error}"))?;
    let mut program = Program {
        context,
        console,
        source,
        clipboard,
        display,
        shown: None,
        unsent: Vec::new(),
        repaint_at: None,
        kept,
        started,
        has_shown_fleet: false,
        problem: None,
    };
    event_loop.run_app(&mut program).context("the window was lost")?;
    program.problem.map_or(Ok(()), Err)
}

struct Program {
    context: egui::Context,
    console: Console,
    source: Source,
    clipboard: Clipboard,
    display: softbuffer::Context<OwnedDisplayHandle>,
    shown: Option<Shown>,
    unsent: Vec<Request>,
    repaint_at: Option<Instant>,
    kept: KeptLooks,
    started: Instant,
    has_shown_fleet: bool,
    problem: Option<anyhow::Error>,
}

/// What there is once there is a window.
struct Shown {
    window: Rc<Window>,
    surface: Surface<OwnedDisplayHandle, Rc<Window>>,
    input: egui_winit::State,
    renderer: Renderer,
    /// When all of the window was last given to the system: now and then parts of it are lost without a word.
    whole_at: Option<Instant>,
}

impl ApplicationHandler<Woken> for Program {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.shown.is_none() {
            match self.open(event_loop) {
                Ok(shown) => self.shown = Some(shown),
                Err(error) => self.fail(error, event_loop),
            }
        }
    }

    fn user_event(&mut self, _event_loop: &ActiveEventLoop, Woken: Woken) {
        self.redraw();
    }

    fn new_events(&mut self, _event_loop: &ActiveEventLoop, cause: StartCause) {
        if let StartCause::ResumeTimeReached { .. } = cause {
            self.redraw();
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _id: WindowId, event: WindowEvent) {
        let Some(shown) = &mut self.shown else { return };
        match &event {
            WindowEvent::CloseRequested => return event_loop.exit(),
            WindowEvent::RedrawRequested => {
                if let Err(error) = self.draw(event_loop) {
                    self.fail(error, event_loop);
                }
                return;
            }
            WindowEvent::Resized(_) => shown.whole_at = None,
            WindowEvent::DroppedFile(file) => self.console.open_import(file.display().to_string()),
            _ => {}
        }
        let response = shown.input.on_window_event(&shown.window, &event);
        paste(&mut shown.input.egui_input_mut().events, &self.clipboard);
        if response.repaint {
            self.redraw();
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        event_loop.set_control_flow(match self.repaint_at {
            Some(at) => ControlFlow::WaitUntil(at),
            None => ControlFlow::Wait,
        });
    }
}

impl Program {
    fn open(&self, event_loop: &ActiveEventLoop) -> anyhow::Result<Shown> {
        let attributes = Window::default_attributes()
            .with_title("Prevalent console")
            .with_inner_size(LogicalSize::new(1440.0, 900.0))
            .with_min_inner_size(LogicalSize::new(640.0, 400.0));
        let window = Rc::new(event_loop.create_window(attributes).context("cannot open a window")?);
        let surface = Surface::new(&self.display, Rc::clone(&window))
            .map_err(|error| anyhow::anyhow!("cannot draw in the window: {error}"))?;
        let mut input = egui_winit::State::new(
            self.context.clone(),
            ViewportId::ROOT,
            &window,
            None,
            window.theme(),
            Some(TEXTURE_SIDE_MAX),
        );
        input.set_clipboard_text(TO_BE_PASTED.to_owned());
        let renderer = Renderer::new(Size { width: 1, height: 1 });
        Ok(Shown { window, surface, input, renderer, whole_at: None })
    }

    fn redraw(&self) {
        if let Some(shown) = &self.shown {
            shown.window.request_redraw();
        }
    }

    fn fail(&mut self, error: anyhow::Error, event_loop: &ActiveEventLoop) {
        self.problem = Some(error);
        event_loop.exit();
    }

    fn draw(&mut self, event_loop: &ActiveEventLoop) -> anyhow::Result<()> {
        let Some(shown) = &mut self.shown else { return Ok(()) };
        let began = Instant::now();
        let view = match &self.source {
            Source::Core(core) => Arc::clone(&core.view().borrow()),
            Source::Nothing(view) => Arc::clone(view),
        };
        let input = shown.input.take_egui_input(&shown.window);
        let mut requests = Vec::new();
        let mut output = self.context.run_ui(input, |ui| requests.extend(self.console.show(ui, &view)));
        copy(&mut output.platform_output.commands, &mut self.clipboard);
        shown.input.handle_platform_output_with_event_loop(&shown.window, event_loop, output.platform_output);
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        shown.paint(&primitives, output.textures_delta, output.pixels_per_point)?;
        if !self.has_shown_fleet && view.link == Link::Live && !view.fleet.nodes.is_empty() {
            self.has_shown_fleet = true;
            let ms = self.started.elapsed().as_millis();
            tracing::info!(ms, "a picture of the fleet is on the screen since the start");
        }
        tracing::debug!(us = began.elapsed().as_micros(), "drawn");
        let asked = output
            .viewport_output
            .get(&ViewportId::ROOT)
            .map(|ViewportOutput { repaint_delay, .. }| *repaint_delay);
        let delay = asked.unwrap_or(Duration::MAX).min(repaint_after(&view));
        self.repaint_at = began.checked_add(delay);
        if delay.is_zero() {
            shown.window.request_redraw();
        }
        self.send(requests);
        self.keep_looks();
        Ok(())
    }

    /// Keeps what the operator has changed of them.
    fn keep_looks(&mut self) {
        let scale = Scale::nearest(self.context.zoom_factor());
        if scale.factor() != self.context.zoom_factor() {
            // egui's own keys go further.
            self.context.set_zoom_factor(scale.factor());
        }
        let theme = self.context.options(|options| options.theme_preference);
        self.kept.see(Looks { theme: Theme::from(theme), scale });
    }

    /// Gives the core what it can take. What it cannot is given again with the next frame.
    fn send(&mut self, requests: Vec<Request>) {
        let Source::Core(core) = &self.source else { return };
        self.unsent.extend(requests);
        while let Some(request) = (!self.unsent.is_empty()).then(|| self.unsent.remove(0)) {
            if let Err(request) = core.ask(request) {
                self.unsent.insert(0, request);
                break;
            }
        }
        self.unsent.truncate(UNSENT_MAX);
    }
}

impl Shown {
    /// Draws what egui wants, and gives the window what has changed.
    fn paint(
        &mut self,
        primitives: &[egui::ClippedPrimitive],
        textures: egui::TexturesDelta,
        pixels_per_point: f32,
    ) -> anyhow::Result<()> {
        let size = self.window.inner_size();
        let (Some(width), Some(height)) = (NonZeroU32::new(size.width), NonZeroU32::new(size.height)) else {
            // A window that is hidden has no pixels; the textures are needed all the same.
            self.renderer.draw(primitives, textures, pixels_per_point);
            return Ok(());
        };
        let side = |length: NonZeroU32| usize::try_from(length.get());
        self.renderer.resize(Size { width: side(width)?, height: side(height)? });
        let mut areas = self.renderer.draw(primitives, textures, pixels_per_point);
        let failed = |error| anyhow::anyhow!("cannot draw in the window: {error}");
        self.surface.resize(width, height).map_err(failed)?;
        let mut buffer = self.surface.buffer_mut().map_err(failed)?;
        let is_whole_due = self.whole_at.is_none_or(|at| at.elapsed() >= Duration::from_secs(1));
        if is_whole_due || buffer.age() != 1 {
            areas = vec![self.renderer.size().area()];
            self.whole_at = Some(Instant::now());
        }
        let pixels = self.renderer.pixels();
        for area in &areas {
            for row in area.top..area.bottom {
                let row = area.row(row, self.renderer.size().width);
                buffer[row.clone()].copy_from_slice(&pixels[row]);
            }
        }
        if areas.is_empty() {
            return Ok(());
        }
        self.window.pre_present_notify();
        let damage: Vec<softbuffer::Rect> = areas.iter().filter_map(|area| rect(*area)).collect();
        buffer.present_with_damage(&damage).map_err(failed)
    }
}

/// Puts the clipboard's text into the events that paste, and leaves out those for which there is none.
fn paste(events: &mut Vec<Event>, clipboard: &Clipboard) {
    events.retain_mut(|event| match event {
        Event::Paste(text) if text == TO_BE_PASTED => match clipboard.paste() {
            Some(pasted) => {
                *text = pasted.replace("\r\n", "\n");
                true
            }
            None => false,
        },
        _ => true,
    });
}

/// Carries out the commands that copy, and leaves the others.
fn copy(commands: &mut Vec<OutputCommand>, clipboard: &mut Clipboard) {
    commands.retain_mut(|command| match command {
        OutputCommand::CopyText(text) => {
            clipboard.copy(std::mem::take(text));
            false
        }
        _ => true,
    });
}

fn rect(area: Area) -> Option<softbuffer::Rect> {
    let at = |value: i32| u32::try_from(value).ok();
    Some(softbuffer::Rect {
        x: at(area.left)?,
        y: at(area.top)?,
        width: NonZeroU32::new(at(area.right - area.left)?)?,
        height: NonZeroU32::new(at(area.bottom - area.top)?)?,
    })
}
