use egui::epaint::{ClippedPrimitive, Primitive};
use egui::{Color32, TextureId, TexturesDelta};

use crate::area::{Area, Size};
use crate::blend::pack;
use crate::damage::{self, Tiles};
use crate::glyph;
use crate::piece::{self, Piece};
use crate::texture::Textures;
use crate::triangle;

/// A picture that follows what egui draws.
pub struct Renderer {
    size: Size,
    pixels: Vec<u32>,
    textures: Textures,
    last: Option<Tiles>,
    /// The pieces of the frame that is being drawn; kept for its memory.
    pieces: Vec<Placed>,
}

struct Placed {
    piece: Piece,
    texture: TextureId,
    /// What of the picture it may change.
    visible: Area,
}

impl Renderer {
    /// A black picture.
    #[must_use]
    pub fn new(size: Size) -> Renderer {
        Renderer {
            size,
            pixels: vec![0; size.pixels()],
            textures: Textures::default(),
            last: None,
            pieces: Vec::new(),
        }
    }

    /// Changes the size. The next frame is drawn as a whole.
    pub fn resize(&mut self, size: Size) {
        if size != self.size {
            self.size = size;
            self.pixels.clear();
            self.pixels.resize(size.pixels(), 0);
            self.last = None;
        }
    }

    /// Has the next frame drawn as a whole.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Draws a frame, and returns what has changed in the picture: areas that do not overlap. Paint
    /// callbacks, which need a graphics card, are passed over.
    pub fn draw(
        &mut self,
        primitives: &[ClippedPrimitive],
        textures: TexturesDelta,
        pixels_per_point: f32,
    ) -> Vec<Area> {
        self.textures.update(textures);
        let tiles = self.collect(primitives, pixels_per_point);
        let areas = match &self.last {
            Some(last) => tiles.differences(last, self.size),
            None => vec![self.size.area()],
        };
        self.last = Some(tiles);
        for area in &areas {
            for row in area.top..area.bottom {
                self.pixels[area.row(row, self.size.width)].fill(pack(Color32::BLACK) & 0x00ff_ffff);
            }
        }
        for placed in &self.pieces {
            let texture =
                self.textures.get(placed.texture).expect("pieces without a texture are not collected");
            for area in &areas {
                let clip = placed.visible.intersect(*area);
                if clip.is_empty() {
                    continue;
                }
                match &placed.piece {
                    Piece::Glyph(glyph) => glyph::draw(glyph, texture, clip, &mut self.pixels, self.size),
                    Piece::Triangle(corners) => {
                        triangle::draw(corners, texture, clip, &mut self.pixels, self.size);
                    }
                }
            }
        }
        areas
    }

    fn collect(&mut self, primitives: &[ClippedPrimitive], pixels_per_point: f32) -> Tiles {
        let mut tiles = Tiles::new(self.size, u64::from(pixels_per_point.to_bits()));
        self.pieces.clear();
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            let Primitive::Mesh(mesh) = primitive else { continue };
            let Some(texture) = self.textures.get(mesh.texture_id) else { continue };
            let clip = piece::clip(*clip_rect, pixels_per_point, self.size.area());
            if clip.is_empty() {
                continue;
            }
            piece::for_each(mesh, texture, pixels_per_point, |piece| {
                let visible = piece.bounds().intersect(clip);
                if visible.is_empty() {
                    return;
                }
                tiles.note(visible, damage::hash(&piece, clip, texture.version), piece.is_fresh(texture));
                self.pieces.push(Placed { piece, texture: mesh.texture_id, visible });
            });
        }
        tiles
    }

    /// The picture: `0x00RRGGBB`, row by row from the top.
    #[must_use]
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// How large the picture is.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The picture as red, green, blue for each pixel, as picture files have it.
    #[must_use]
    pub fn rgb(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|pixel| pixel.to_be_bytes().into_iter().skip(1)).collect()
    }
}
