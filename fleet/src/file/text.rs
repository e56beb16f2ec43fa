//! Bytes of unknown origin become text.

use encoding_rs::{Encoding, UTF_8, UTF_16LE, WINDOWS_1252};

use super::{FileProblem, InFile};

/// How much is looked at to recognise UTF-16 without a byte order mark.
const SAMPLE_BYTES: usize = 512;

/// Text in UTF-8, UTF-16 (a byte order mark tells; `bcp -w` writes none) or, if it is none of them,
/// Windows-1252, in which nearly everything is valid.
pub(super) fn decode(bytes: &[u8]) -> Result<String, (InFile, FileProblem)> {
    let (encoding, mark_bytes) = recognise(bytes);
    let (text, malformed) = encoding.decode_without_bom_handling(&bytes[mark_bytes..]);
    if malformed {
        return Err((InFile::Whole, FileProblem::Encoding { encoding: encoding.name() }));
    }
    // bcp writes an empty text as a NUL, so that alone is let through.
    let stray = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n' | '\0');
    if let Some(at) = text.find(stray) {
        let line = 1 + text[..at].matches('\n').count() as u64;
        let control = text[at..].chars().next().expect("found there");
        return Err((InFile::Line(line), FileProblem::Control(control)));
    }
    Ok(text.into_owned())
}

fn recognise(bytes: &[u8]) -> (&'static Encoding, usize) {
    if let Some(marked) = Encoding::for_bom(bytes) {
        return marked;
    }
    let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
    let high_bytes = sample.chunks_exact(2).filter(|pair| pair[1] == 0 && pair[0] != 0).count();
    // Names, numbers and delimiters have a zero as their second byte; no UTF-8 or Windows-1252 text does.
    if bytes.len().is_multiple_of(2) && high_bytes * 4 > sample.len() {
        return (UTF_16LE, 0);
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => (UTF_8, 0),
        Err(_) => (WINDOWS_1252, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool) -> Vec<u8> {
        let mark = if mark { vec![0xFF, 0xFE] } else { Vec::new() };
        mark.into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
    }

    #[test]
    fn each_encoding_is_recognised() {
        let text = "name;Lautstärke\r\npc1;5 €\r\n";
        let windows = b"name;Lautst\xE4rke\r\npc1;5 \x80\r\n";
        let marked: Vec<u8> = b"\xEF\xBB\xBF".iter().chain(text.as_bytes()).copied().collect();
        let big_endian: Vec<u8> =
            [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        for bytes in [text.as_bytes(), windows, &marked, &utf16(text, true), &utf16(text, false), &big_endian]
        {
            assert_eq!(decode(bytes).as_deref(), Ok(text));
        }
        assert_eq!(decode(b"").as_deref(), Ok(""));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let half_a_character = [0xFF, 0xFE, 0x00, 0xD8];
        let bad = |bytes: &[u8]| decode(bytes).unwrap_err();
        assert_eq!(bad(&half_a_character), (InFile::Whole, FileProblem::Encoding { encoding: "UTF-16LE" }));
        assert_eq!(bad(b"\xEF\xBB\xBFa\xFF"), (InFile::Whole, FileProblem::Encoding { encoding: "UTF-8" }));
        assert_eq!(bad(b"a\nb\x1Bc"), (InFile::Line(2), FileProblem::Control('\x1B')));
        assert_eq!(bad(b"a\n\xE4\x81"), (InFile::Line(2), FileProblem::Control('\u{81}')));
    }
}
