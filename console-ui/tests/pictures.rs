//! The pictures in the documentation are what the console looks like: they are drawn again and compared.

#[path = "../examples/pictures/picture.rs"]
mod picture;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use egui::Theme;
use picture::{HEIGHT, Picture, Screen, WIDTH};

/// So much a colour may be off, of 255: the last digit of a sine is another on every system, and it decides how
/// an edge is blended.
const COLOUR_OFF_MAX: u8 = 4;
/// So many pixels may be off by more, of 1.6 million: a corner may come to lie in the pixel beside. One letter
/// that is another differs in more.
const PIXELS_OFF_MAX: usize = 8;

/// What a file holds, three bytes for each pixel.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let open = || -> Result<(png::OutputInfo, Vec<u8>), png::DecodingError> {
        let mut reader = png::Decoder::new(BufReader::new(File::open(file)?)).read_info()?;
        let mut rgb = vec![0; reader.output_buffer_size().unwrap_or(0)];
        let info = reader.next_frame(&mut rgb)?;
        Ok((info, rgb))
    };
    let (info, rgb) = open().map_err(|error| format!("it cannot be read: {error}"))?;
    if (info.width, info.height) != (WIDTH.into(), HEIGHT.into()) || info.color_type != png::ColorType::Rgb {
        return Err(format!("it has {} x {} pixels in {:?}", info.width, info.height, info.color_type));
    }
    Ok(rgb)
}

/// How many pixels are visibly different.
fn differing(old: &[u8], new: &[u8]) -> usize {
    assert_eq!(old.len(), new.len(), "both have the same size");
    let pixels = old.chunks_exact(3).zip(new.chunks_exact(3));
    pixels.filter(|(old, new)| old.iter().zip(*new).any(|(a, b)| a.abs_diff(*b) > COLOUR_OFF_MAX)).count()
}

/// What is wrong with a picture of the documentation, if anything is.
fn problem(drawn: &Picture, documented: &Path) -> Option<String> {
    match read(documented).map(|rgb| differing(&rgb, &drawn.rgb)) {
        Ok(pixels) if pixels <= PIXELS_OFF_MAX => None,
        Ok(pixels) => Some(format!("{pixels} pixels differ")),
        Err(problem) => Some(problem),
    }
}

#[test]
fn the_documentation_shows_the_console_as_it_is() {
    let mut stale = Vec::new();
    for drawn in picture::all() {
        let name = format!("{}.png", drawn.name);
        // Relative: these executables are run on other systems too, with the package as their folder.
        if let Some(problem) = problem(&drawn, &Path::new("../docs/pictures").join(&name)) {
            let now = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
            drawn.write(&now).unwrap();
            stale.push(format!("docs/pictures/{name}: {problem}; it is now as in {}", now.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "the documentation does not show the console as it is:\n{}\nIf it is meant to look so, run `cargo xtask \
         screenshots` and commit what it draws.",
        stale.join("\n")
    );
}

/// Before the comparison is trusted, it is seen to find a change that is as small as changes are.
#[test]
fn another_letter_is_noticed() {
    let [before, after] = ["pc8", "pc3"].map(|name| {
        let mut view = console_ui::samples::healthy();
        view.access.name = name.into();
        Screen::new(view, Theme::Dark).photograph("healthy")
    });
    let pixels = differing(&before.rgb, &after.rgb);
    assert!(pixels > PIXELS_OFF_MAX, "only {pixels} pixels differ");
}
