use position::Tip;

use super::{Frame, FrameError};

/// Bytes from a disk or a network that should be frames, one after the other.
///
/// Iterating verifies each frame, and that each follows the one before. After the first error there is
/// nothing more: what would come next is unknown.
#[derive(Clone, Debug)]
pub struct UnverifiedFrames<'a> {
    rest: &'a [u8],
    /// What the next frame must follow; the first may follow anything unless it was said.
    after: Option<Tip>,
}

impl<'a> UnverifiedFrames<'a> {
    /// Frames of which the first may follow anything.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> UnverifiedFrames<'a> {
        UnverifiedFrames { rest: bytes, after: None }
    }

    /// Frames of which the first must follow `tip`.
    #[must_use]
    pub fn after(tip: Tip, bytes: &'a [u8]) -> UnverifiedFrames<'a> {
        UnverifiedFrames { rest: bytes, after: Some(tip) }
    }
}

impl<'a> Iterator for UnverifiedFrames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Result<Frame<'a>, FrameError>> {
        if self.rest.is_empty() {
            return None;
        }
        let checked = Frame::verify(self.rest).and_then(|frame| match self.after {
            Some(after) if !frame.follows(&after) => Err(FrameError::Unchained { id: frame.id(), after }),
            _ => Ok(frame),
        });
        match &checked {
            Ok(frame) => {
                self.after = Some(frame.tip());
                self.rest = &self.rest[frame.bytes().len()..];
            }
            Err(_) => self.rest = &[],
        }
        Some(checked)
    }
}
