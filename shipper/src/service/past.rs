//! What a voter gives of the past: a snapshot and the frames behind it, from which whoever asked makes the state
//! of that moment and the log up to it.
//!
//! Any voter answers: a standby has the time. It is asked for no less than what was committed when its client
//! asked the master, so that whoever has changed something finds it in the past too.

use std::time::Duration;

use position::{Index, Tip};
use snapshots::Opened;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::follow::{within, write_snapshot};
use super::{Conversation, ConversationError, Denied, Followed, Good, Kept, Share, ToLoop, tell};
use crate::conversation::{Answered, PastAt};
use crate::wire::MessageWriter;

/// So much of the journal is sent at most for the sake of the log.
const ENTRIES_MAX: u32 = 500_000;

/// How often a voter looks whether it has heard of a commit, and how many times: a few heartbeats long.
const COMMIT_TRY_PERIOD: Duration = Duration::from_millis(10);
const COMMIT_TRIES_MAX: usize = 20;

/// Where replaying begins.
struct Begin {
    /// Since when the past is kept.
    first: Index,
    /// The snapshot to begin with; without one, from the first entry of all.
    snapshot: Option<Opened>,
}

/// An answer that is being sent.
struct Begun {
    at: Index,
    begin: Begin,
    _share: Share,
}

impl Conversation {
    pub(super) async fn past(
        &self,
        at: PastAt,
        entries: u32,
        least: Index,
        writer: &mut MessageWriter,
    ) -> Result<(), ConversationError> {
        let begun = match self.share(Good::Snapshots) {
            Ok(share) => self.begin(at, entries, least, share).await,
            Err(denied) => Err(denied),
        };
        match begun {
            Ok(begun) => within(self.service.patience, self.lead(begun, writer)).await,
            Err(denied) => tell(&Answered::from(denied), writer).await,
        }
    }

    async fn begin(&self, at: PastAt, entries: u32, least: Index, share: Share) -> Result<Begun, Denied> {
        self.may_see_all()?;
        let kept = self.kept(at, least).await?;
        let finding = tokio::task::spawn_blocking(move || {
            let begin = find(&kept, entries)?;
            // It is held here too, since the reading goes on when its client is gone.
            Ok(Begun { at: kept.at, begin, _share: share })
        });
        finding.await.expect("reading snapshots does not panic")
    }

    /// What is kept, once this voter knows that `least` is committed. A standby hears of that with the next
    /// heartbeat; one that does not is behind, and another is to be asked.
    async fn kept(&self, at: PastAt, least: Index) -> Result<Kept, Denied> {
        for _ in 0..COMMIT_TRIES_MAX {
            let (reply, kept) = oneshot::channel();
            self.ask(ToLoop::Past { at, reply }, 0)?;
            let kept = kept.await.map_err(|_stopping| Denied::NotMaster)?;
            if kept.commit >= least {
                return Ok(kept);
            }
            sleep(COMMIT_TRY_PERIOD).await;
        }
        Err(Denied::Busy)
    }

    /// Sends what leads to the moment.
    async fn lead(&self, begun: Begun, writer: &mut MessageWriter) -> Result<(), ConversationError> {
        let Begun { at, begin, _share } = begun;
        tell(&Answered::Past { first: begin.first, at }, writer).await?;
        let mut after = Tip::NONE;
        if let Some(snapshot) = &begin.snapshot {
            write_snapshot(snapshot, writer).await?;
            after = snapshot.head().tip;
        }
        while after.index() < at {
            match self.frames_after(after).await {
                Ok(Followed::Frames { frames, through }) => {
                    writer.write(&Answered::Frames { commit: through.index() }, &frames).await?;
                    after = through;
                }
                // The journal has been compacted meanwhile.
                Ok(Followed::Behind(_)) => return tell(&Answered::Busy, writer).await,
                Err(denied) => return tell(&Answered::from(denied), writer).await,
            }
        }
        Ok(())
    }
}

/// The newest usable snapshot from which the journal leads over so many entries to the moment; if there is none,
/// the oldest from which it leads there at all.
fn find(kept: &Kept, entries: u32) -> Result<Begin, Denied> {
    let listed = kept.shelf.list().map_err(|error| {
        tracing::warn!(%error, "the snapshots cannot be listed for an answer about the past");
        Denied::Busy
    })?;
    let from_the_start = kept.base == Tip::NONE;
    let leads_on: Vec<Index> =
        listed.iter().map(|listed| listed.index).filter(|index| *index >= kept.base.index()).collect();
    let first = if from_the_start { Some(Index::NONE) } else { leads_on.last().copied() };
    let Some(first) = first else {
        return Err(Denied::Refused("nothing is kept of the past".to_owned()));
    };
    let wanted = Index(kept.at.0.saturating_sub(u64::from(entries.min(ENTRIES_MAX))));
    let (early, late): (Vec<Index>, Vec<Index>) =
        leads_on.into_iter().filter(|index| *index <= kept.at).partition(|index| *index <= wanted);
    let open = |index: Index| kept.shelf.open(index).ok();
    let begin = |opened: Opened| Begin { first, snapshot: Some(opened) };
    if let Some(opened) = early.into_iter().find_map(open) {
        return Ok(begin(opened));
    }
    if from_the_start {
        return Ok(Begin { first, snapshot: None });
    }
    late.into_iter().rev().find_map(open).map(begin).ok_or_else(|| {
        let at = kept.at;
        Denied::Refused(format!("entry {at} lies before what is kept of the past, which begins at {first}"))
    })
}
