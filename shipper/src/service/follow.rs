//! What a voter gives to those who follow: committed frames, and a snapshot to those whom frames do not help.
//!
//! A snapshot is verified before it is sent, which reads all of it. So few are under way at once, and none
//! for longer than somebody who reads would need.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use position::Tip;
use snapshots::{Newest, Opened, Shelf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Conversation, ConversationError, Denied, Followed, Good, Share, ToLoop, tell};
use crate::conversation::Answered;
use crate::wire::MessageWriter;

/// A snapshot travels in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// A link that is slower than this is none.
const BYTES_PER_MILLISECOND_MIN: u64 = 1024;

impl Conversation {
    pub(super) async fn follow(
        &self,
        mut after: Tip,
        writer: &mut MessageWriter,
    ) -> Result<(), ConversationError> {
        let _share = match self.may_see_all().and_then(|()| self.share(Good::Followers)) {
            Ok(share) => share,
            Err(denied) => return tell(&Answered::from(denied), writer).await,
        };
        let mut sent = None;
        loop {
            let followed = tokio::select! {
                followed = self.frames_after(after) => followed,
                () = writer.stopped() => return Ok(()),
            };
            let newest = match followed {
                Ok(Followed::Frames { frames, through }) => {
                    writer.write(&Answered::Frames { commit: through.index() }, &frames).await?;
                    after = through;
                    continue;
                }
                // One that has followed a later master is ahead of this one: there is nothing to go back to.
                Ok(Followed::Behind(_)) if after.epoch() > self.service.view.borrow().epoch => {
                    Err(Denied::NotMaster)
                }
                Ok(Followed::Behind(shelf)) => self.newest_snapshot(shelf).await,
                Err(denied) => Err(denied),
            };
            match newest {
                // The journal's beginning has gone meanwhile: a newer snapshot will come.
                Ok(newest) if sent == Some(newest.base()) => return tell(&Answered::Busy, writer).await,
                Ok(newest) => {
                    let needed = Duration::from_millis(
                        newest.snapshot.file().len() as u64 / BYTES_PER_MILLISECOND_MIN,
                    );
                    let sending = write_snapshot(&newest.snapshot, writer);
                    within(self.service.patience + needed, sending).await?;
                    after = newest.base();
                    sent = Some(newest.base());
                }
                Err(denied) => return tell(&Answered::from(denied), writer).await,
            }
        }
    }

    async fn newest_snapshot(&self, shelf: Shelf) -> Result<SnapshotFile, Denied> {
        let share = self.share(Good::Snapshots)?;
        let verifying = tokio::task::spawn_blocking(move || {
            let snapshot = newest_snapshot(&shelf)?;
            // It is held here too, since the verifying goes on when its client is gone.
            Ok(SnapshotFile { snapshot, _share: share })
        });
        verifying.await.expect("verifying a snapshot does not panic")
    }

    /// Waits for committed frames after this tip.
    pub(super) async fn frames_after(&self, after: Tip) -> Result<Followed, Denied> {
        let (reply, followed) = oneshot::channel();
        self.ask(ToLoop::Follow { after, bytes_max: quorum::APPEND_BYTES_MAX, reply }, 0)?;
        followed.await.unwrap_or(Err(Denied::NotMaster))
    }
}

/// A snapshot that is being sent.
struct SnapshotFile {
    snapshot: Opened,
    _share: Share,
}

impl SnapshotFile {
    fn base(&self) -> Tip {
        self.snapshot.head().tip
    }
}

fn newest_snapshot(shelf: &Shelf) -> Result<Opened, Denied> {
    match shelf.newest_valid() {
        Ok(Newest { snapshot: Some(snapshot), .. }) => Ok(snapshot),
        Ok(Newest { problems, .. }) if problems.is_empty() => {
            Err(Denied::Refused("this voter has another history, and no snapshot".to_owned()))
        }
        // Another voter will lead one day, or the disk recover: no reason to give up for good.
        Ok(Newest { problems, .. }) => {
            tracing::warn!(?problems, "no snapshot can be used for a follower");
            Err(Denied::Busy)
        }
        Err(error) => {
            tracing::warn!(%error, "the snapshots cannot be read for a follower");
            Err(Denied::Busy)
        }
    }
}

/// Ends what takes longer than `limit`: the other end does not read, and what it holds here others want.
pub(super) async fn within(
    limit: Duration,
    sending: impl Future<Output = Result<(), ConversationError>>,
) -> Result<(), ConversationError> {
    timeout(limit, sending).await.unwrap_or(Err(ConversationError::NotRead { waited: limit }))
}

pub(super) async fn write_snapshot(
    snapshot: &Opened,
    writer: &mut MessageWriter,
) -> Result<(), ConversationError> {
    let (file, base) = (snapshot.file(), snapshot.head().tip);
    writer.write(&Answered::Snapshot { bytes: file.len() as u64, base }, &[]).await?;
    for start in (0..file.len()).step_by(PIECE_BYTES) {
        let piece = file.subslice(start..file.len().min(start + PIECE_BYTES));
        // The first touch of a mapped page may wait for the disk, which no network thread does.
        let reading = tokio::task::spawn_blocking(move || {
            let copied = Bytes::copy_from_slice(&piece);
            piece.give_back();
            copied
        });
        let read = reading.await;
        let piece = read.expect("copying a piece of a file does not panic");
        writer.write(&Answered::Piece, &[piece]).await?;
    }
    Ok(())
}
