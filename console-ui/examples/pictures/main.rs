//! Draws the documentation's pictures, without a window:
//! `cargo run --release -p console-ui --example pictures -- docs/pictures`

mod picture;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "docs/pictures".into()));
    std::fs::create_dir_all(&folder)?;
    for picture in picture::all() {
        picture.write(&folder.join(format!("{}.png", picture.name)))?;
    }
    Ok(())
}
