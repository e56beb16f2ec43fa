//! What meshes consist of, in pixels: triangles, and the upright rectangles that letters are.

use egui::epaint::{Mesh, Vertex};
use egui::{Pos2, Rect};

use crate::area::Area;
use crate::blend::pack;
use crate::texture::{Texture, to_f64};

/// Parts of a pixel that corners can be told apart by.
pub(crate) const PARTS: i64 = 256;
/// Corners further away than this are drawn as if they were this far: products of two coordinates fit 64 bits.
const REACH: f32 = 1_048_576.0;

/// A corner, in parts of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Corner {
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) u: f32,
    pub(crate) v: f32,
    pub(crate) color: u32,
}

/// What is drawn at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Piece {
    Triangle([Corner; 3]),
    /// An upright rectangle of one colour that shows the texture one texel a pixel, or one texel all over.
    Glyph(Glyph),
}

/// See [`Piece::Glyph`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Glyph {
    pub(crate) area: Area,
    pub(crate) color: u32,
    pub(crate) texels: Texels,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Texels {
    /// The texel of the area's first pixel.
    From { column: usize, row: usize },
    /// The same everywhere.
    One { texel: u32 },
}

impl Corner {
    fn of(vertex: &Vertex, pixels_per_point: f32) -> Option<Corner> {
        let Pos2 { x, y } = vertex.pos * pixels_per_point;
        let sound = x.is_finite() && y.is_finite() && vertex.uv.x.is_finite() && vertex.uv.y.is_finite();
        sound.then(|| Corner {
            x: to_parts(x),
            y: to_parts(y),
            u: vertex.uv.x,
            v: vertex.uv.y,
            color: pack(vertex.color),
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped just before")]
fn to_parts(at: f32) -> i64 {
    (at.clamp(-REACH, REACH) * 256.0).round() as i64
}

impl Piece {
    /// The pixels it may cover.
    pub(crate) fn bounds(&self) -> Area {
        match self {
            Piece::Glyph(glyph) => glyph.area,
            Piece::Triangle([a, b, c]) => Area {
                left: first_center(a.x.min(b.x).min(c.x)),
                top: first_center(a.y.min(b.y).min(c.y)),
                right: first_center(a.x.max(b.x).max(c.x)) + 1,
                bottom: first_center(a.y.max(b.y).max(c.y)) + 1,
            },
        }
    }
}

/// The first pixel whose centre is not before this.
fn first_center(parts: i64) -> i32 {
    let pixel = -(PARTS / 2 - parts).div_euclid(PARTS);
    i32::try_from(pixel).expect("corners are within reach")
}

/// The pieces of a mesh, in the order in which they are drawn.
pub(crate) fn for_each(mesh: &Mesh, texture: &Texture, pixels_per_point: f32, mut take: impl FnMut(Piece)) {
    let corner = |index: u32| {
        let vertex = mesh.vertices.get(usize::try_from(index).ok()?)?;
        Corner::of(vertex, pixels_per_point)
    };
    let mut rest = mesh.indices.as_slice();
    while rest.len() >= 3 {
        if let Some(glyph) = glyph(rest, texture, corner) {
            take(Piece::Glyph(glyph));
            rest = &rest[6..];
            continue;
        }
        if let (Some(a), Some(b), Some(c)) = (corner(rest[0]), corner(rest[1]), corner(rest[2])) {
            take(Piece::Triangle([a, b, c]));
        }
        rest = &rest[3..];
    }
}

/// The rectangle that the next two triangles make, if they do: egui draws each letter as two triangles with
/// the corners left top, right top, left bottom, right bottom.
fn glyph(indices: &[u32], texture: &Texture, corner: impl Fn(u32) -> Option<Corner>) -> Option<Glyph> {
    let &[i, j, k, l, m, n, ..] = indices else { return None };
    if (l, m) != (k, j) {
        return None;
    }
    let (a, b, c, d) = (corner(i)?, corner(j)?, corner(k)?, corner(n)?);
    let upright = a.x == c.x && b.x == d.x && a.y == b.y && c.y == d.y && a.x < b.x && a.y < c.y;
    let one_color = a.color == b.color && a.color == c.color && a.color == d.color;
    if !upright || !one_color {
        return None;
    }
    let area = Area {
        left: first_center(a.x),
        top: first_center(a.y),
        right: first_center(d.x),
        bottom: first_center(d.y),
    };
    let all_same = [b, c, d].iter().all(|other| (other.u, other.v) == (a.u, a.v));
    if all_same {
        let texel = texture.sample(f64::from(a.u), f64::from(a.v));
        return Some(Glyph { area, color: a.color, texels: Texels::One { texel } });
    }
    let straight = a.u == c.u && b.u == d.u && a.v == b.v && c.v == d.v;
    let on_pixels = [a.x, a.y, d.x, d.y].iter().all(|at| at % PARTS == 0);
    if !straight || !on_pixels {
        return None;
    }
    let column = whole(a.u, texture.width)?;
    let row = whole(a.v, texture.height)?;
    let columns = whole(d.u, texture.width)?.checked_sub(column)?;
    let rows = whole(d.v, texture.height)?.checked_sub(row)?;
    let one_to_one =
        i64::try_from(columns).ok()? * PARTS == d.x - a.x && i64::try_from(rows).ok()? * PARTS == d.y - a.y;
    one_to_one.then_some(Glyph { area, color: a.color, texels: Texels::From { column, row } })
}

/// The texel that begins here, if one does.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within the texture"
)]
fn whole(coordinate: f32, length: usize) -> Option<usize> {
    let at = f64::from(coordinate) * to_f64(length);
    let nearest = at.round();
    // Within a quarter of a 256th the blend of four texels is exactly one of them.
    let aligned = (at - nearest).abs() < 0.25 / 256.0 && (0.0..=to_f64(length)).contains(&nearest);
    aligned.then_some(nearest as usize)
}

/// The pixels that a clip rectangle leaves, within `picture`.
pub(crate) fn clip(rect: Rect, pixels_per_point: f32, picture: Area) -> Area {
    let [left, top, right, bottom] =
        [rect.min.x, rect.min.y, rect.max.x, rect.max.y].map(|at| to_pixel(at * pixels_per_point));
    Area { left, top, right, bottom }.intersect(picture)
}

#[expect(clippy::cast_possible_truncation, reason = "clamped just before; not a number becomes 0")]
fn to_pixel(at: f32) -> i32 {
    at.clamp(-REACH, REACH).round() as i32
}

impl Piece {
    /// Whether it shows a part of the texture that was overwritten in this frame.
    pub(crate) fn is_fresh(&self, texture: &Texture) -> bool {
        let part = match self {
            // Its texel was read when it was made.
            Piece::Glyph(Glyph { texels: Texels::One { .. }, .. }) => return false,
            Piece::Glyph(Glyph { texels: Texels::From { column, row }, area, .. }) => {
                let (left, top) = (to_f64(*column), to_f64(*row));
                let (across, down) = (f64::from(area.right - area.left), f64::from(area.bottom - area.top));
                [left, top, left + across, top + down]
            }
            Piece::Triangle([a, b, c]) => {
                let (across, down) = (to_f64(texture.width), to_f64(texture.height));
                [
                    f64::from(a.u.min(b.u).min(c.u)) * across,
                    f64::from(a.v.min(b.v).min(c.v)) * down,
                    f64::from(a.u.max(b.u).max(c.u)) * across,
                    f64::from(a.v.max(b.v).max(c.v)) * down,
                ]
            }
        };
        texture.is_fresh(part)
    }
}
