//! Which part of a picture differs from the last one.
//!
//! The picture is divided into tiles. Each has a hash over all pieces that touch it, in their order; where the
//! hash is as it was, the pixels are as they were. That needs no copy of the last frame, and does not care that
//! egui puts a whole panel into one mesh, in which one new letter moves all that follow.

use crate::area::{Area, Size};
use crate::piece::{Corner, Glyph, Piece, Texels};

/// The side of a tile, in pixels: small enough that a blinking cursor costs little, large enough that a piece
/// touches few of them.
const TILE: i32 = 64;
/// With more areas than this, one around all of them is cheaper: each piece is compared with each area.
const AREAS_MAX: usize = 24;

/// The hashes of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tiles {
    across: usize,
    hashes: Vec<u64>,
    /// Tiles that have to be drawn whatever their hash is.
    stale: Vec<bool>,
}

impl Tiles {
    pub(crate) fn new(size: Size, seed: u64) -> Tiles {
        let Area { right, bottom, .. } = size.area();
        let count =
            |length: i32| usize::try_from((length + TILE - 1) / TILE).expect("sizes are not negative");
        let (across, down) = (count(right), count(bottom));
        Tiles { across, hashes: vec![seed; across * down], stale: vec![false; across * down] }
    }

    /// Notes a piece in all tiles that it touches. `bounds` is within the picture.
    pub(crate) fn note(&mut self, bounds: Area, hash: u64, is_stale: bool) {
        if bounds.is_empty() {
            return;
        }
        let tile = |at: i32| usize::try_from(at / TILE).expect("bounds are within the picture");
        for row in tile(bounds.top)..=tile(bounds.bottom - 1) {
            for column in tile(bounds.left)..=tile(bounds.right - 1) {
                let at = row * self.across + column;
                self.hashes[at] = mix(self.hashes[at], hash);
                self.stale[at] |= is_stale;
            }
        }
    }

    /// What has to be drawn again, given the last frame's tiles. The areas do not overlap.
    pub(crate) fn differences(&self, last: &Tiles, size: Size) -> Vec<Area> {
        let differs = |at: usize| {
            self.stale[at] || last.hashes.len() != self.hashes.len() || last.hashes[at] != self.hashes[at]
        };
        let mut areas: Vec<Area> = Vec::new();
        for row in 0..self.hashes.len().checked_div(self.across).unwrap_or(0) {
            let mut column = 0;
            while column < self.across {
                let start = column;
                while column < self.across && differs(row * self.across + column) {
                    column += 1;
                }
                if column > start {
                    add_run(&mut areas, tile_area(start, column, row).intersect(size.area()));
                }
                column += 1;
            }
        }
        if areas.len() > AREAS_MAX {
            return areas.into_iter().reduce(Area::union).into_iter().collect();
        }
        areas
    }
}

fn tile_area(first: usize, end: usize, row: usize) -> Area {
    let at = |tile: usize| i32::try_from(tile).expect("tiles are few") * TILE;
    Area { left: at(first), right: at(end), top: at(row), bottom: at(row + 1) }
}

/// Adds a run of tiles, to the area above it if that is as wide.
fn add_run(areas: &mut Vec<Area>, run: Area) {
    let above =
        areas.iter_mut().find(|area| (area.left, area.right, area.bottom) == (run.left, run.right, run.top));
    match above {
        Some(area) => area.bottom = run.bottom,
        None => areas.push(run),
    }
}

/// Everything about a piece that can be seen.
pub(crate) fn hash(piece: &Piece, clip: Area, texture_version: u64) -> u64 {
    let mut hash = mix(texture_version, area_bits(clip));
    match piece {
        Piece::Triangle(corners) => {
            for Corner { x, y, u, v, color } in corners {
                hash = mix(hash, x.cast_unsigned() << 32 ^ y.cast_unsigned());
                hash = mix(hash, u64::from(u.to_bits()) << 32 | u64::from(v.to_bits()));
                hash = mix(hash, u64::from(*color));
            }
        }
        Piece::Glyph(Glyph { area, color, texels }) => {
            let texels = match texels {
                Texels::One { texel } => u64::from(*texel),
                Texels::From { column, row } => (*column as u64) << 32 | *row as u64 | 1 << 63,
            };
            hash = mix(mix(mix(hash, area_bits(*area)), texels), u64::from(*color));
        }
    }
    hash
}

fn area_bits(area: Area) -> u64 {
    let side = |at: i32| u64::from(at.cast_unsigned());
    mix(side(area.left) << 32 | side(area.top), side(area.right) << 32 | side(area.bottom))
}

/// A step of a hash that is quick and spreads well; nobody attacks it.
fn mix(hash: u64, value: u64) -> u64 {
    let product = u128::from(hash ^ 0x9e37_79b9_7f4a_7c15) * u128::from(value ^ 0xd6e8_feb8_6659_fd93);
    let bytes = product.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of sixteen bytes"));
    word(low) ^ word(high).rotate_left(23) ^ hash.rotate_left(7)
}
