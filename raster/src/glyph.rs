//! The fast path for letters and upright rectangles.

use crate::area::{Area, Size};
use crate::blend::{fill, modulate, over};
use crate::piece::{Glyph, Texels};
use crate::texture::Texture;

/// Draws what of a glyph is in `clip`, which is within the picture.
pub(crate) fn draw(glyph: &Glyph, texture: &Texture, clip: Area, pixels: &mut [u32], size: Size) {
    let area = glyph.area.intersect(clip);
    if area.is_empty() {
        return;
    }
    let (column, row) = match glyph.texels {
        Texels::One { texel } => {
            let source = modulate(texel, glyph.color);
            for row in area.top..area.bottom {
                fill(&mut pixels[area.row(row, size.width)], source);
            }
            return;
        }
        Texels::From { column, row } => (column, row),
    };
    let from = |first: usize, clipped: i32, whole: i32| {
        first + usize::try_from(clipped - whole).expect("a clipped area begins later")
    };
    let first_column = from(column, area.left, glyph.area.left);
    for line in area.top..area.bottom {
        let texels = from(row, line, glyph.area.top) * texture.width + first_column;
        let line = &mut pixels[area.row(line, size.width)];
        let Some(texels) = texture.texels.get(texels..texels + line.len()) else { return };
        for (pixel, texel) in line.iter_mut().zip(texels) {
            if *texel != 0 {
                *pixel = over(modulate(*texel, glyph.color), *pixel);
            }
        }
    }
}
