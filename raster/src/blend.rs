//! Arithmetic on colours. egui blends premultiplied colours in gamma space; all of it is exact to the last
//! bit, so that a picture does not depend on the path that drew it.

use egui::Color32;

/// A premultiplied colour as `0xAARRGGBB`: the order of pixels in a window.
pub(crate) fn pack(color: Color32) -> u32 {
    let [r, g, b, a] = color.to_array();
    u32::from_be_bytes([a, r, g, b])
}

pub(crate) fn alpha(source: u32) -> u32 {
    source >> 24
}

const EVEN: u32 = 0x00ff_00ff;

/// Each of four bytes, times `factor` / 255, rounded.
fn scale(bytes: u32, factor: u32) -> u32 {
    // x / 255 rounded is (x + 128 + (x + 128) / 256) / 256 for all products of two bytes.
    let divide = |products: u32| {
        let products = products + 0x0080_0080;
        ((products + ((products >> 8) & EVEN)) >> 8) & EVEN
    };
    let even = divide((bytes & EVEN) * factor);
    let odd = divide(((bytes >> 8) & EVEN) * factor);
    even | (odd << 8)
}

/// A colour over a pixel. The pixel is opaque before and after, and its first byte always 0.
pub(crate) fn over(source: u32, pixel: u32) -> u32 {
    let behind = scale(pixel, 255 - alpha(source));
    // Premultiplied colours may be brighter than their alpha (egui draws glows with that), so each channel
    // stops at white.
    let (s, b) = (source.to_be_bytes(), behind.to_be_bytes());
    u32::from_be_bytes([0, s[1].saturating_add(b[1]), s[2].saturating_add(b[2]), s[3].saturating_add(b[3])])
}

/// One colour times another, byte by byte.
pub(crate) fn modulate(texel: u32, color: u32) -> u32 {
    if color == u32::MAX {
        return texel;
    }
    if texel == u32::MAX {
        return color;
    }
    let (t, c) = (texel.to_be_bytes(), color.to_be_bytes());
    let product = |at: usize| {
        let product = u32::from(t[at]) * u32::from(c[at]) + 128;
        ((product + (product >> 8)) >> 8) & 0xff
    };
    product(0) << 24 | product(1) << 16 | product(2) << 8 | product(3)
}

/// One colour over a row of pixels.
pub(crate) fn fill(row: &mut [u32], source: u32) {
    match alpha(source) {
        255 => row.fill(source & 0x00ff_ffff),
        _ if source == 0 => {}
        _ => {
            for pixel in row {
                *pixel = over(source, *pixel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_is_division_by_255_rounded() {
        for value in 0..=255u32 {
            for factor in 0..=255u32 {
                let expected = (value * factor * 2 + 255) / 510;
                let all = value | value << 8 | value << 16 | value << 24;
                assert_eq!(scale(all, factor), expected * 0x0101_0101);
                assert_eq!(modulate(all, factor * 0x0101_0101), expected * 0x0101_0101);
            }
        }
    }

    #[test]
    fn opaque_replaces_nothing_changes_nothing_and_bright_stops_at_white() {
        assert_eq!(over(0xff12_3456, 0x00ab_cdef), 0x0012_3456);
        assert_eq!(over(0, 0x00ab_cdef), 0x00ab_cdef);
        assert_eq!(over(0x00ff_ffff, 0x00ab_cdef), 0x00ff_ffff);
    }
}
