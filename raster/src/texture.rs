//! The textures that egui has handed over: its font, mostly.

use std::collections::BTreeMap;

use egui::epaint::{ImageData, ImageDelta};
use egui::{TextureFilter, TextureId, TexturesDelta};

use crate::blend::pack;

/// All textures, and what of them is new in this frame.
#[derive(Default)]
pub(crate) struct Textures {
    all: BTreeMap<Key, Texture>,
    /// How often any texture was replaced as a whole.
    version: u64,
}

/// `TextureId` has no order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Managed(u64),
    User(u64),
}

impl From<TextureId> for Key {
    fn from(id: TextureId) -> Key {
        match id {
            TextureId::Managed(id) => Key::Managed(id),
            TextureId::User(id) => Key::User(id),
        }
    }
}

pub(crate) struct Texture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) texels: Vec<u32>,
    filter: TextureFilter,
    /// Differs from that of every texture before.
    pub(crate) version: u64,
    /// What was overwritten in this frame: left, top, right, bottom, in texels.
    patches: Vec<[f64; 4]>,
}

impl Textures {
    /// Takes over what egui has changed since the last frame.
    pub(crate) fn update(&mut self, mut delta: TexturesDelta) {
        for texture in self.all.values_mut() {
            texture.patches.clear();
        }
        for (id, images) in delta.set.drain() {
            for image in images {
                self.set(id.into(), &image);
            }
        }
        for id in delta.free.drain() {
            self.all.remove(&id.into());
        }
    }

    fn set(&mut self, key: Key, delta: &ImageDelta) {
        let ImageData::Color(image) = &delta.image;
        let [width, height] = image.size;
        let texels = image.pixels.iter().copied().map(pack);
        let Some([left, top]) = delta.pos else {
            self.version += 1;
            let texture = Texture {
                width,
                height,
                texels: texels.collect(),
                filter: delta.options.magnification,
                version: self.version,
                patches: Vec::new(),
            };
            self.all.insert(key, texture);
            return;
        };
        let texture = self.all.get_mut(&key).expect("egui makes a texture before it changes a part of it");
        assert!(
            left + width <= texture.width && top + height <= texture.height,
            "egui changes a part that is not in the texture"
        );
        let texels: Vec<u32> = texels.collect();
        for (row, line) in texels.chunks_exact(width.max(1)).enumerate() {
            let start = (top + row) * texture.width + left;
            texture.texels[start..start + width].copy_from_slice(line);
        }
        // A sample sees texels around it, too.
        let around = |from: usize, length: usize| (to_f64(from) - 1.0, to_f64(from + length) + 1.0);
        let ((left, right), (top, bottom)) = (around(left, width), around(top, height));
        texture.patches.push([left, top, right, bottom]);
    }

    pub(crate) fn get(&self, id: TextureId) -> Option<&Texture> {
        self.all.get(&id.into())
    }
}

impl Texture {
    /// Whether any of what was overwritten in this frame may be seen in this part: left, top, right,
    /// bottom, in texels.
    pub(crate) fn is_fresh(&self, [left, top, right, bottom]: [f64; 4]) -> bool {
        self.patches
            .iter()
            .any(|patch| left <= patch[2] && right >= patch[0] && top <= patch[3] && bottom >= patch[1])
    }

    /// The colour at a place, both coordinates from 0 to 1.
    pub(crate) fn sample(&self, u: f64, v: f64) -> u32 {
        let (x, y) = (u * to_f64(self.width), v * to_f64(self.height));
        match self.filter {
            TextureFilter::Nearest => self.texel(x.floor(), y.floor()),
            TextureFilter::Linear => self.blend_four(x - 0.5, y - 0.5),
        }
    }

    fn blend_four(&self, x: f64, y: f64) -> u32 {
        // Weights of 256ths: what is aligned but for rounding is exactly one texel.
        let (x, y) = ((x * 256.0).round(), (y * 256.0).round());
        let (left, top) = ((x / 256.0).floor(), (y / 256.0).floor());
        let (right_part, bottom_part) = (weight(x - left * 256.0), weight(y - top * 256.0));
        if right_part == 0 && bottom_part == 0 {
            return self.texel(left, top);
        }
        let corners = [
            (self.texel(left, top), (256 - right_part) * (256 - bottom_part)),
            (self.texel(left + 1.0, top), right_part * (256 - bottom_part)),
            (self.texel(left, top + 1.0), (256 - right_part) * bottom_part),
            (self.texel(left + 1.0, top + 1.0), right_part * bottom_part),
        ];
        let channel = |shift: u32| {
            let sum: u32 = corners.iter().map(|(texel, weight)| (texel >> shift & 0xff) * weight).sum();
            (sum + 0x8000) >> 16
        };
        channel(24) << 24 | channel(16) << 16 | channel(8) << 8 | channel(0)
    }

    /// One texel; outside the texture its edge goes on.
    fn texel(&self, x: f64, y: f64) -> u32 {
        let inside = |at: f64, length: usize| place(at).min(length.saturating_sub(1));
        self.texels.get(inside(y, self.height) * self.width + inside(x, self.width)).copied().unwrap_or(0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "textures have a few thousand columns")]
pub(crate) fn to_f64(length: usize) -> f64 {
    length as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is below 0 becomes 0, as meant"
)]
fn place(at: f64) -> usize {
    at as usize
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
fn weight(part: f64) -> u32 {
    part as u32
}
