//! Draws egui on the CPU: meshes into pixels, and only what has changed.
//!
//! Responsible for: textures, triangles, clipping, blending as egui expects it, and which part of a picture
//! differs from the last one. Not responsible for: windows, and what is drawn.
//!
//! It is there because the PCs of a fleet often have no OpenGL driver, or are looked at over a remote desktop.
//! The same renderer draws the pictures of the tests, so there is one look to get right.
//!
//! ```
//! let context = egui::Context::default();
//! let mut renderer = raster::Renderer::new(raster::Size { width: 320, height: 200 });
//! let output = context.run_ui(egui::RawInput::default(), |ui| {
//!     ui.label("Hello");
//! });
//! let primitives = context.tessellate(output.shapes, output.pixels_per_point);
//! let damage = renderer.draw(&primitives, output.textures_delta, output.pixels_per_point);
//! assert!(!damage.is_empty(), "the first picture is all new");
//! assert_eq!(renderer.pixels().len(), 320 * 200);
//! ```

mod area;
mod blend;
mod damage;
mod glyph;
mod piece;
mod renderer;
mod texture;
mod triangle;

pub use area::{Area, Size};
pub use renderer::Renderer;
