//! The general path: any triangle, with colours and a texture that change over it.
//!
//! A pixel belongs to a triangle if its centre does; a centre on an edge belongs to the triangle to the right
//! of it or below (the top-left rule). So neighbours neither overlap, which would show as a line where they
//! are transparent, nor leave a gap. Edges are exact integers. What a pixel gets depends on its place alone and
//! not on the clip: a part that is drawn again looks as it did before.

use crate::area::{Area, Size};
use crate::blend::{fill, modulate, over};
use crate::piece::{Corner, PARTS};
use crate::texture::Texture;

/// The side of an edge on which the triangle is: `across * x + down * y + rest >= 0`.
struct Edge {
    across: i64,
    down: i64,
    rest: i64,
}

impl Edge {
    fn between(from: &Corner, to: &Corner) -> Edge {
        let (across, down) = (from.y - to.y, to.x - from.x);
        let owns_its_centers = across > 0 || (across == 0 && down > 0);
        let rest = -(across * from.x + down * from.y) - i64::from(!owns_its_centers);
        Edge { across, down, rest }
    }

    /// Where the edge cuts the row whose centres have this height, and the rows below it.
    fn cut(&self, center_y: i64) -> Cut {
        // across * (x * PARTS + PARTS / 2) + down * y + rest >= 0, solved for x.
        let rest = self.across * (PARTS / 2) + self.down * center_y + self.rest;
        let (step, per_row) = (self.across * PARTS, self.down * PARTS);
        match step.signum() {
            1 => Cut::From(Walk::new(step - 1 - rest, -per_row, step)),
            -1 => Cut::Until(Walk::new(rest - step, per_row, -step)),
            _ => Cut::Row { rest, per_row },
        }
    }
}

/// Which pixels of a row are on the right side of an edge.
enum Cut {
    /// Those from here on.
    From(Walk),
    /// Those before.
    Until(Walk),
    /// All or none: the edge is level.
    Row { rest: i64, per_row: i64 },
}

impl Cut {
    /// What of a row is left, and on to the next row.
    fn narrow(&mut self, first: i64, end: i64) -> (i64, i64) {
        match self {
            Cut::From(walk) => (first.max(walk.next()), end),
            Cut::Until(walk) => (first, end.min(walk.next())),
            Cut::Row { rest, per_row } => {
                let is_inside = *rest >= 0;
                *rest += *per_row;
                if is_inside { (first, end) } else { (end, end) }
            }
        }
    }
}

/// The quotients of a number that grows by the same amount from row to row, without a division for each.
struct Walk {
    quotient: i64,
    remainder: i64,
    quotient_step: i64,
    remainder_step: i64,
    divisor: i64,
}

impl Walk {
    fn new(number: i64, step: i64, divisor: i64) -> Walk {
        Walk {
            quotient: number.div_euclid(divisor),
            remainder: number.rem_euclid(divisor),
            quotient_step: step.div_euclid(divisor),
            remainder_step: step.rem_euclid(divisor),
            divisor,
        }
    }

    fn next(&mut self) -> i64 {
        let now = self.quotient;
        self.quotient += self.quotient_step;
        self.remainder += self.remainder_step;
        if self.remainder >= self.divisor {
            self.remainder -= self.divisor;
            self.quotient += 1;
        }
        now
    }
}

/// A value that changes evenly over the triangle.
#[derive(Clone, Copy)]
struct Slope {
    at_first: f64,
    across: f64,
    down: f64,
}

impl Slope {
    fn over([a, b, c]: &[Corner; 3], area: f64, value: impl Fn(&Corner) -> f64) -> Slope {
        let (first, b_more, c_more) = (value(a), value(b) - value(a), value(c) - value(a));
        let side = |parts: i64| to_f64(parts);
        Slope {
            at_first: first,
            across: (b_more * side(c.y - a.y) - c_more * side(b.y - a.y)) / area,
            down: (c_more * side(b.x - a.x) - b_more * side(c.x - a.x)) / area,
        }
    }

    fn at(&self, dx: f64, dy: f64) -> f64 {
        self.at_first + self.across * dx + self.down * dy
    }
}

#[expect(clippy::cast_precision_loss, reason = "coordinates have 30 bits")]
fn to_f64(parts: i64) -> f64 {
    parts as f64
}

enum Paint {
    /// One colour.
    Flat(u32),
    /// A colour that changes, and one texel.
    Shaded([Slope; 4], u32),
    /// Colour and texture change.
    Textured([Slope; 4], [Slope; 2]),
}

impl Paint {
    fn of(corners: &[Corner; 3], area: f64, texture: &Texture) -> Paint {
        let [a, b, c] = corners;
        let one_color = a.color == b.color && a.color == c.color;
        let one_texel = (a.u, a.v) == (b.u, b.v) && (a.u, a.v) == (c.u, c.v);
        let channel =
            |shift: u32| Slope::over(corners, area, |corner| f64::from(corner.color >> shift & 0xff));
        let shades = || [channel(24), channel(16), channel(8), channel(0)];
        if !one_texel {
            let u = Slope::over(corners, area, |corner| f64::from(corner.u));
            let v = Slope::over(corners, area, |corner| f64::from(corner.v));
            return Paint::Textured(shades(), [u, v]);
        }
        let texel = texture.sample(f64::from(a.u), f64::from(a.v));
        if one_color { Paint::Flat(modulate(texel, a.color)) } else { Paint::Shaded(shades(), texel) }
    }
}

/// Draws what of a triangle is in `clip`, which is within the picture.
pub(crate) fn draw(corners: &[Corner; 3], texture: &Texture, clip: Area, pixels: &mut [u32], size: Size) {
    let [a, b, c] = *corners;
    let area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    if area == 0 || clip.is_empty() {
        return;
    }
    // egui does not care which way round its corners go. The edges do.
    let (corners, area) = if area > 0 { ([a, b, c], area) } else { ([a, c, b], -area) };
    let center = |row: i32| i64::from(row) * PARTS + PARTS / 2;
    let cut = |from: usize, to: usize| Edge::between(&corners[from], &corners[to]).cut(center(clip.top));
    let mut cuts = [cut(0, 1), cut(1, 2), cut(2, 0)];
    let paint = Paint::of(&corners, to_f64(area), texture);
    for row in clip.top..clip.bottom {
        let (mut first, mut end) = (i64::from(clip.left), i64::from(clip.right));
        for cut in &mut cuts {
            (first, end) = cut.narrow(first, end);
        }
        if first >= end {
            continue;
        }
        let within = |x: i64| i32::try_from(x).expect("within the clip");
        let span = Area { left: within(first), right: within(end), top: row, bottom: row + 1 };
        let line = &mut pixels[span.row(row, size.width)];
        let dx = to_f64(first * PARTS + PARTS / 2 - corners[0].x);
        shade(line, &paint, texture, dx, to_f64(center(row) - corners[0].y));
    }
}

/// Draws a row of pixels; the first is `dx`, `dy` from the triangle's first corner.
fn shade(line: &mut [u32], paint: &Paint, texture: &Texture, dx: f64, dy: f64) {
    let places = (0..).map(|column: u32| dx + f64::from(column) * to_f64(PARTS));
    match paint {
        Paint::Flat(source) => fill(line, *source),
        Paint::Shaded(shades, texel) => {
            for (pixel, dx) in line.iter_mut().zip(places) {
                *pixel = over(modulate(*texel, color(shades, dx, dy)), *pixel);
            }
        }
        Paint::Textured(shades, [u, v]) => {
            for (pixel, dx) in line.iter_mut().zip(places) {
                let texel = texture.sample(u.at(dx, dy), v.at(dx, dy));
                *pixel = over(modulate(texel, color(shades, dx, dy)), *pixel);
            }
        }
    }
}

fn color(shades: &[Slope; 4], dx: f64, dy: f64) -> u32 {
    u32::from_be_bytes([0, 1, 2, 3].map(|channel: usize| to_byte(shades[channel].at(dx, dy))))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is outside becomes 0 or 255, as meant"
)]
fn to_byte(value: f64) -> u8 {
    (value + 0.5) as u8
}
