//! A command line for people to read and paste, as Windows programs split it again.

/// Joins arguments with spaces; those that need it stand in quotes.
///
/// The rules are those of the C runtime: backslashes count only in front of a quote, and are doubled there.
pub(super) fn command_line<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    arguments.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(argument: &str) -> String {
    if !argument.is_empty() && !argument.contains([' ', '\t', '\n', '\x0B', '"']) {
        return argument.to_owned();
    }
    let mut text = String::from("\"");
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                text.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        text.push(character);
    }
    text.push_str(&"\\".repeat(backslashes));
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: &str) {
        assert_eq!(command_line(arguments.iter().copied()), expected);
    }

    #[test]
    fn arguments_survive() {
        check(
            &[r"C:\Programme (x86)\Wand Süd\master.exe", "--config", r"C:\wall\master.toml"],
            r#""C:\Programme (x86)\Wand Süd\master.exe" --config C:\wall\master.toml"#,
        );
        check(&[r"C:\Wänd\", "", r"D:\a b\"], r#"C:\Wänd\ "" "D:\a b\\""#);
        check(&[r#"a"b"#, r#"a\"b"#], r#""a\"b" "a\\\"b""#);
    }
}
