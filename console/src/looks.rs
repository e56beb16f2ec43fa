//! How the window looks, from one start to the next.
//!
//! Responsible for: the file `looks.toml` in the console's folder, and what the flags say against it. The file is
//! written when something was changed in the window, and no more than that: what a flag says is for this time.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use app::replace_file;
use clap::ValueEnum;
use egui::ThemePreference;
use serde::{Deserialize, Serialize};

const FILE: &str = "looks.toml";
/// Many times as long as the file is.
const FILE_BYTES_MAX: u64 = 4096;

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Theme {
    /// As the system says
    System,
    #[default]
    Dark,
    Light,
}

impl From<Theme> for ThemePreference {
    fn from(theme: Theme) -> ThemePreference {
        match theme {
            Theme::System => ThemePreference::System,
            Theme::Dark => ThemePreference::Dark,
            Theme::Light => ThemePreference::Light,
        }
    }
}

impl From<ThemePreference> for Theme {
    fn from(theme: ThemePreference) -> Theme {
        match theme {
            ThemePreference::System => Theme::System,
            ThemePreference::Dark => Theme::Dark,
            ThemePreference::Light => Theme::Light,
        }
    }
}

/// How large everything is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub(crate) struct Scale(f32);

impl Scale {
    /// Below it nobody can read anything.
    const MIN: f32 = 0.5;
    /// Above it nothing fits into the window.
    const MAX: f32 = 4.0;

    /// The nearest that there is.
    pub(crate) fn nearest(factor: f32) -> Scale {
        Scale(factor.clamp(Scale::MIN, Scale::MAX))
    }

    pub(crate) fn factor(self) -> f32 {
        self.0
    }
}

impl Default for Scale {
    fn default() -> Scale {
        Scale(1.0)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<Scale> for f32 {
    fn from(scale: Scale) -> f32 {
        scale.0
    }
}

impl TryFrom<f32> for Scale {
    type Error = String;

    fn try_from(factor: f32) -> Result<Scale, String> {
        if (Scale::MIN..=Scale::MAX).contains(&factor) {
            return Ok(Scale(factor));
        }
        Err(format!("the scale is a number from {} to {}", Scale::MIN, Scale::MAX))
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Scale, String> {
        Scale::try_from(text.parse().unwrap_or(f32::NAN))
    }
}

/// How the window looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Looks {
    pub(crate) theme: Theme,
    pub(crate) scale: Scale,
}

impl Looks {
    /// What a flag says counts more.
    fn overruled_by(self, theme: Option<Theme>, scale: Option<Scale>) -> Looks {
        Looks { theme: theme.unwrap_or(self.theme), scale: scale.unwrap_or(self.scale) }
    }
}

#[derive(Debug, thiserror::Error)]
enum LooksError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("it is larger than {FILE_BYTES_MAX} bytes and no file of the console")]
    TooLarge,
    #[error("{}", .0.message())]
    Content(#[from] toml::de::Error),
}

/// What is kept of the looks.
#[derive(Debug)]
pub(crate) struct KeptLooks {
    /// Without one nothing is kept.
    path: Option<PathBuf>,
    kept: Looks,
    /// What was seen last in the window.
    seen: Looks,
}

impl KeptLooks {
    /// Reads the file in the console's folder, if there is one. What is wrong with it is said in the log.
    pub(crate) fn read(folder: Option<&Path>) -> KeptLooks {
        let path = folder.map(|folder| folder.join(FILE));
        let kept = path.as_deref().map_or(Ok(Looks::default()), read).unwrap_or_else(|error| {
            tracing::warn!(
                path = %path.as_deref().unwrap_or(Path::new(FILE)).display(),
                %error,
                "cannot read how the window looked; it looks as at first. The file stays until that is changed"
            );
            Looks::default()
        });
        KeptLooks { path, kept, seen: kept }
    }

    /// How the window begins, given what the flags say.
    pub(crate) fn begin(&mut self, theme: Option<Theme>, scale: Option<Scale>) -> Looks {
        self.seen = self.kept.overruled_by(theme, scale);
        self.seen
    }

    /// Keeps what was changed in the window since it was last seen.
    pub(crate) fn see(&mut self, now: Looks) {
        if now == self.seen {
            return;
        }
        // What a flag says was not changed in the window and stays as it is in the file.
        if now.theme != self.seen.theme {
            self.kept.theme = now.theme;
        }
        if now.scale != self.seen.scale {
            self.kept.scale = now.scale;
        }
        self.seen = now;
        let Some(path) = &self.path else { return };
        let text = toml::to_string(&self.kept).expect("a word and a number can be written");
        if let Err(error) = replace_file(path, &text) {
            tracing::warn!(
                path = %path.display(),
                %error,
                "cannot keep how the window looks; it looks so until it is closed"
            );
        }
    }
}

fn read(path: &Path) -> Result<Looks, LooksError> {
    let mut text = String::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looks::default()),
        opened => opened?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?,
    };
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(LooksError::TooLarge);
    }
    Ok(toml::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LARGE_AND_LIGHT: Looks = Looks { theme: Theme::Light, scale: Scale(1.1) };

    fn text(folder: &Path) -> Option<String> {
        fs::read_to_string(folder.join(FILE)).ok()
    }

    #[test]
    fn what_was_changed_in_the_window_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut looks = KeptLooks::read(Some(folder.path()));
        assert_eq!(looks.begin(None, None), Looks::default());
        looks.see(Looks::default());
        assert_eq!(text(folder.path()), None, "nothing was changed");
        looks.see(LARGE_AND_LIGHT);
        assert_eq!(text(folder.path()).as_deref(), Some("theme = \"light\"\nscale = 1.1\n"));
        assert_eq!(KeptLooks::read(Some(folder.path())).begin(None, None), LARGE_AND_LIGHT);

        fs::remove_file(folder.path().join(FILE)).unwrap();
        looks.see(LARGE_AND_LIGHT);
        assert_eq!(
            text(folder.path()),
            None,
            "it is written when something is changed, not with each picture"
        );
    }

    #[test]
    fn flags_win_and_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        KeptLooks::read(Some(folder.path())).see(LARGE_AND_LIGHT);
        let mut looks = KeptLooks::read(Some(folder.path()));
        let begun = looks.begin(Some(Theme::Dark), None);
        assert_eq!(begun, Looks { theme: Theme::Dark, ..LARGE_AND_LIGHT });
        looks.see(Looks { scale: Scale(2.0), ..begun });
        let kept = KeptLooks::read(Some(folder.path())).begin(None, None);
        assert_eq!(kept, Looks { theme: Theme::Light, scale: Scale(2.0) });
        assert_eq!(looks.begin(None, Some(Scale(3.0))).scale, Scale(3.0));
    }

    #[test]
    fn a_damaged_file_is_replaced_when_something_is_changed() {
        let check = |damaged: &str, part: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), damaged).unwrap();
            let error = read(&folder.path().join(FILE)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            let mut looks = KeptLooks::read(Some(folder.path()));
            assert_eq!(looks.begin(None, None), Looks::default());
            assert_eq!(text(folder.path()).as_deref(), Some(damaged), "it stays as it is until then");
            looks.see(LARGE_AND_LIGHT);
            assert_eq!(KeptLooks::read(Some(folder.path())).begin(None, None), LARGE_AND_LIGHT);
        };
        let whole = "theme = \"dark\"\nscale = 0.5\n";
        for length in 0..whole.len() - 1 {
            check(&whole[..length], "");
        }
        check(&format!("{whole}font = 3\n"), "font");
        check("theme = \"green\"\nscale = 1.5\n", "green");
        for scale in ["0.4", "4.1", "nan", "\"1\""] {
            check(&format!("theme = \"dark\"\nscale = {scale}\n"), "");
        }
        check(&whole.repeat(2), "duplicate");
        check(&"#".repeat(5000), "larger");
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let mut looks = KeptLooks::read(None);
        looks.see(LARGE_AND_LIGHT);
        assert_eq!(looks.begin(None, None), LARGE_AND_LIGHT);
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        KeptLooks::read(Some(&missing)).see(LARGE_AND_LIGHT);
        assert!(!missing.exists());
    }

    #[test]
    fn scales_have_bounds() {
        assert_eq!("1.5".parse(), Ok(Scale(1.5)));
        for text in ["0.4", "5", "NaN", "inf", "large", ""] {
            assert!(text.parse::<Scale>().is_err(), "{text}");
        }
        assert_eq!(Scale::nearest(0.2), Scale(0.5));
        assert_eq!(Scale::nearest(5.0), Scale(4.0));
    }
}
