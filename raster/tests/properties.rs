//! What holds for any meshes: nothing is drawn outside the clip, a part drawn again looks as the whole would,
//! and the fast path draws what the slow one would.

use std::sync::Arc;

use egui::epaint::{ClippedPrimitive, ImageData, ImageDelta, Mesh, Primitive, Vertex};
use egui::{Color32, ColorImage, Pos2, Rect, TextureId, TextureOptions, TexturesDelta, pos2};
use proptest::prelude::*;
use raster::{Area, Renderer, Size};

const SIZE: Size = Size { width: 150, height: 100 };
const FONT: TextureId = TextureId::Managed(0);
const FONT_SIDE: usize = 16;

fn font(seed: u8) -> ColorImage {
    let texel = |at: usize| {
        let shade = u8::try_from(at % 251).unwrap().wrapping_mul(seed);
        // The first texel is white, as in egui's own texture.
        if at == 0 {
            Color32::WHITE
        } else {
            Color32::from_rgba_premultiplied(shade / 2, shade, shade / 3, shade)
        }
    };
    ColorImage::new([FONT_SIDE, FONT_SIDE], (0..FONT_SIDE * FONT_SIDE).map(texel).collect())
}

fn set(image: ColorImage, at: Option<[usize; 2]>) -> TexturesDelta {
    let mut delta = TexturesDelta::default();
    let image = ImageData::Color(Arc::new(image));
    delta.push(FONT, ImageDelta { image, options: TextureOptions::LINEAR, pos: at });
    delta
}

fn clipped(clip_rect: Rect, mesh: Mesh) -> ClippedPrimitive {
    ClippedPrimitive { clip_rect, primitive: Primitive::Mesh(mesh) }
}

fn any_position() -> impl Strategy<Value = Pos2> {
    (-40.0..190.0f32, -40.0..140.0f32).prop_map(|(x, y)| pos2(x, y))
}

fn any_color() -> impl Strategy<Value = Color32> {
    let alpha = prop_oneof![Just(255u8), any::<u8>()];
    (any::<[u8; 3]>(), alpha).prop_map(|([r, g, b], a)| Color32::from_rgba_unmultiplied(r, g, b, a))
}

fn any_vertex() -> impl Strategy<Value = Vertex> {
    let uv = prop_oneof![Just(Pos2::ZERO), (0.0..1.0f32, 0.0..1.0f32).prop_map(|(u, v)| pos2(u, v))];
    (any_position(), uv, any_color()).prop_map(|(pos, uv, color)| Vertex { pos, uv, color })
}

/// A rectangle as egui draws letters: on pixels and texels, one to one, unless `off` moves it.
fn any_quad() -> impl Strategy<Value = [Vertex; 4]> {
    let place = (-20i16..160, -20i16..110, 0u8..12, 0u8..12, 1u8..5, 1u8..5);
    let off = prop_oneof![3 => Just(0.0f32), 1 => 0.0..1.0f32];
    (place, off, any_color(), any::<bool>()).prop_map(
        |((x, y, u, v, width, height), off, color, is_solid)| {
            let side = 16.0;
            let corner = |right: bool, down: bool| {
                let (across, under) = (f32::from(u8::from(right)), f32::from(u8::from(down)));
                let (width, height) = (f32::from(width) * across, f32::from(height) * under);
                let uv = pos2((f32::from(u) + width) / side, (f32::from(v) + height) / side);
                let pos = pos2(f32::from(x) + off + width, f32::from(y) + off + height);
                Vertex { pos, uv: if is_solid { Pos2::ZERO } else { uv }, color }
            };
            [corner(false, false), corner(true, false), corner(false, true), corner(true, true)]
        },
    )
}

fn any_clip() -> impl Strategy<Value = Rect> {
    let inner = (any_position(), any_position()).prop_map(|(a, b)| Rect::from_two_pos(a, b));
    prop_oneof![Just(Rect::EVERYTHING), inner]
}

fn any_mesh() -> impl Strategy<Value = Mesh> {
    let triangle =
        prop::array::uniform3(any_vertex()).prop_map(|vertices| (vertices.to_vec(), vec![0, 1, 2]));
    let quad = any_quad().prop_map(|vertices| (vertices.to_vec(), vec![0, 1, 2, 2, 1, 3]));
    prop::collection::vec(prop_oneof![triangle, quad], 0..8).prop_map(|parts| {
        let mut mesh = Mesh::with_texture(FONT);
        for (vertices, indices) in parts {
            let first = u32::try_from(mesh.vertices.len()).unwrap();
            mesh.vertices.extend(vertices);
            mesh.indices.extend(indices.iter().map(|index: &u32| first + index));
        }
        mesh
    })
}

fn any_frame() -> impl Strategy<Value = Vec<ClippedPrimitive>> {
    prop::collection::vec((any_clip(), any_mesh()).prop_map(|(clip, mesh)| clipped(clip, mesh)), 0..4)
}

fn quad_mesh(vertices: [Vertex; 4], indices: [u32; 6]) -> Mesh {
    Mesh { indices: indices.to_vec(), vertices: vertices.to_vec(), texture_id: FONT }
}

fn drawn(frame: &[ClippedPrimitive]) -> Vec<u32> {
    let mut renderer = Renderer::new(SIZE);
    renderer.draw(frame, set(font(7), None), 1.0);
    renderer.pixels().to_vec()
}

/// A picture that is one colour all over.
fn background(color: Color32) -> ClippedPrimitive {
    let mut mesh = Mesh::with_texture(FONT);
    mesh.add_colored_rect(Rect::from_min_max(pos2(-10.0, -10.0), pos2(500.0, 500.0)), color);
    clipped(Rect::EVERYTHING, mesh)
}

fn within(areas: &[Area], x: usize, y: usize) -> usize {
    let at = |value: usize| i32::try_from(value).unwrap();
    let holds =
        |area: &&Area| (area.left..area.right).contains(&at(x)) && (area.top..area.bottom).contains(&at(y));
    areas.iter().filter(holds).count()
}

proptest! {
    #[test]
    fn nothing_is_drawn_outside_the_clip(clip in any_clip(), mesh in any_mesh()) {
        let ground = background(Color32::from_rgb(9, 99, 199));
        let before = drawn(std::slice::from_ref(&ground));
        let after = drawn(&[ground, clipped(clip, mesh)]);
        for (at, (before, after)) in before.iter().zip(&after).enumerate() {
            let (x, y) = (at % SIZE.width, at / SIZE.width);
            #[expect(clippy::cast_precision_loss)]
            let middle = pos2(x as f32 + 0.5, y as f32 + 0.5);
            // The clip is rounded to whole pixels.
            prop_assert!(before == after || clip.expand(0.5).contains(middle), "{x}, {y}");
        }
    }

    #[test]
    fn a_part_drawn_again_looks_as_the_whole_would(
        frames in prop::collection::vec((any_frame(), any::<bool>()), 1..6),
        patch in 0..FONT_SIDE - 4,
    ) {
        let mut follows = Renderer::new(SIZE);
        follows.draw(&[], set(font(7), None), 1.0);
        let mut is_patched = false;
        let mut shown = follows.pixels().to_vec();
        let mut frame = Vec::new();
        for (next, keeps) in frames {
            // Most frames differ from the last one in a part only.
            if keeps { frame.extend(next) } else { frame = next }
            let piece = || ColorImage::filled([4, 4], Color32::from_rgb(1, 2, 3));
            let delta = if is_patched { TexturesDelta::default() } else { set(piece(), Some([patch, 3])) };
            is_patched = true;
            let damage = follows.draw(&frame, delta, 1.0);

            let mut whole = Renderer::new(SIZE);
            whole.draw(&[], set(font(7), None), 1.0);
            whole.draw(&[], set(piece(), Some([patch, 3])), 1.0);
            whole.forget();
            whole.draw(&frame, TexturesDelta::default(), 1.0);
            prop_assert_eq!(follows.pixels(), whole.pixels());
            for (at, (before, after)) in shown.iter().zip(follows.pixels()).enumerate() {
                let times = within(&damage, at % SIZE.width, at / SIZE.width);
                prop_assert!(times == 1 || (times == 0 && before == after));
            }
            shown = follows.pixels().to_vec();
        }
    }

    #[test]
    fn the_fast_path_draws_what_the_slow_one_would(vertices in any_quad(), clip in any_clip()) {
        // The same two triangles, in an order that is not taken for a letter.
        let fast = clipped(clip, quad_mesh(vertices, [0, 1, 2, 2, 1, 3]));
        let slow = clipped(clip, quad_mesh(vertices, [0, 1, 2, 1, 3, 2]));
        let ground = || background(Color32::from_rgb(40, 50, 60));
        prop_assert_eq!(drawn(&[ground(), fast]), drawn(&[ground(), slow]));
    }

    #[test]
    fn neighbours_neither_overlap_nor_leave_a_gap(
        corners in prop::array::uniform3(any_position()), inside in (0.05..0.9f32, 0.05..0.9f32),
    ) {
        let [a, b, c] = corners;
        let (s, t) = if inside.0 + inside.1 > 0.95 { (inside.0 / 2.0, inside.1 / 2.0) } else { inside };
        // On the grid of corners, so that the parts are the whole.
        let snap = |p: Pos2| pos2((p.x * 256.0).round() / 256.0, (p.y * 256.0).round() / 256.0);
        let (a, b, c) = (snap(a), snap(b), snap(c));
        let m = snap(a + (b - a) * s + (c - a) * t);
        let color = Color32::from_rgba_unmultiplied(250, 100, 50, 100);
        let vertex = |pos| Vertex { pos, uv: Pos2::ZERO, color };
        let mesh = |indices: &[u32]| {
            let vertices = [a, b, c, m].map(vertex).to_vec();
            clipped(Rect::EVERYTHING, Mesh { indices: indices.to_vec(), vertices, texture_id: FONT })
        };
        let twice = |p: Pos2, q: Pos2, r: Pos2| (q - p).x * (r - p).y - (q - p).y * (r - p).x;
        let whole = twice(a, b, c).signum();
        prop_assume!([twice(a, b, m), twice(b, c, m), twice(c, a, m)].iter().all(|part| part * whole > 0.0));
        prop_assert_eq!(drawn(&[mesh(&[0, 1, 2])]), drawn(&[mesh(&[0, 1, 3, 1, 2, 3, 2, 0, 3])]));
    }
}

#[test]
fn corners_that_are_no_numbers_or_far_away_do_no_harm() {
    let color = Color32::RED;
    for bad in [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN] {
        let vertices = [pos2(bad, 3.0), pos2(90.0, bad), pos2(30.0, 90.0)];
        let vertices = vertices.map(|pos| Vertex { pos, uv: Pos2::ZERO, color }).to_vec();
        let mesh = Mesh { indices: vec![0, 1, 2, 2, 1, 99], vertices, texture_id: FONT };
        drawn(&[clipped(Rect::from_min_max(pos2(bad, bad), pos2(bad, 70.0)), mesh)]);
    }
}

#[test]
fn a_frame_that_is_the_same_again_costs_nothing() {
    let mut renderer = Renderer::new(SIZE);
    let frame = [background(Color32::RED)];
    assert_eq!(renderer.draw(&frame, set(font(7), None), 1.0), [SIZE.area()]);
    assert_eq!(renderer.draw(&frame, TexturesDelta::default(), 1.0), []);
    renderer.resize(Size { width: 151, height: 100 });
    assert_eq!(renderer.draw(&frame, TexturesDelta::default(), 1.0).len(), 1);
}
