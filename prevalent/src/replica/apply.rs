//! From committed frames to state and answers.

use std::time::Duration;

use journal::JournalError;
use position::{History, Tip};

use crate::engine::ApplyError;

use crate::Prevalent;
use crate::answer::{Tag, append_registered};
use crate::replica::{Effects, Fatal, Now, Replica};

/// Idle sessions are looked for this often.
const EXPIRY_PERIOD: Duration = Duration::from_secs(10);

impl<S: Prevalent> Replica<S> {
    /// Applies committed frames, at most `frames_max` of them; runs user code. `true`: more wait.
    ///
    /// # Errors
    /// If a frame cannot be applied: the driver must end the process.
    pub fn apply(&mut self, frames_max: usize, out: &mut Effects<S>) -> Result<bool, Fatal> {
        for _ in 0..frames_max {
            if !self.apply_one(out)? {
                self.release_reads(out);
                return Ok(false);
            }
        }
        self.release_reads(out);
        Ok(true)
    }

    fn apply_one(&mut self, out: &mut Effects<S>) -> Result<bool, Fatal> {
        let Some(engine) = &mut self.engine else { return Ok(false) };
        let next = engine.applied().index().next();
        if next > self.voter.commit() {
            return Ok(false);
        }
        let frame = match self.journal.read_frame(next) {
            Ok(frame) => frame,
            // A good copy is on its way from another voter.
            Err(JournalError::Damaged { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.answers.clear();
        match engine.apply(&frame, &mut self.answers) {
            Ok(()) => {}
            Err(ApplyError::Panicked { index, message }) => {
                tracing::error!(%index, message, "a command panicked; the state is rebuilt without it");
                self.rebuild_without(index, out);
                return Ok(false);
            }
            Err(fatal) => return Err(fatal.into()),
        }
        out.applied = Some(engine.applied());
        self.hand_out_answers(out);
        if let Some(tip) = self.answers.snapshot_due {
            self.jobs.snapshotting.want(tip);
        }
        self.start_jobs(out);
        Ok(true)
    }

    /// Gives the answers just made to those who wait for them.
    fn hand_out_answers(&mut self, out: &mut Effects<S>) {
        for answer in &self.answers.list {
            let Some(pending) = self.pending.pop_front_if(|pending| pending.index <= answer.index) else {
                break;
            };
            assert_eq!(pending.index, answer.index, "every command and registration is answered, in order");
            let start = out.bytes.len();
            out.bytes.extend_from_slice(self.answers.bytes_of(answer));
            out.answers.push(pending.answered(start..out.bytes.len()));
        }
    }

    /// After a rebuild: the job has applied entries whose clients still wait. Their sessions kept the answers.
    pub(crate) fn hand_out_kept_answers(&mut self, out: &mut Effects<S>) {
        let Some(engine) = &self.engine else { return };
        let applied = engine.applied().index();
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.index <= applied) {
            let start = out.bytes.len();
            let answered = pending.answered(start..start);
            let session = engine.sessions().get(answered.session);
            let kept =
                |sequence| session?.answers().find(|(kept, _)| *kept == sequence).map(|(_, kept)| kept);
            match (session, pending.sequence) {
                (Some(session), None) => append_registered(session.id(), &mut out.bytes),
                (None, None) => out.bytes.push(Tag::TableFull.byte()),
                // The session has ended since, and its answers with it. Not `UnknownSession`: that would say
                // that this command was not executed, and its client would send it again in another session.
                (None, Some(_)) => out.bytes.push(Tag::Forgotten.byte()),
                (Some(_), Some(sequence)) => match kept(sequence) {
                    Some(kept) => out.bytes.extend_from_slice(kept.bytes),
                    None => out.bytes.push(Tag::TooFar.byte()),
                },
            }
            out.answers.push(pending.answered(start..out.bytes.len()));
        }
    }

    /// Reads whose index is applied may be answered.
    fn release_reads(&mut self, out: &mut Effects<S>) {
        let applied = self.applied().index();
        while let Some(&(token, index)) = self.reads.front() {
            if index > applied {
                break;
            }
            self.reads.pop_front();
            out.reads.push(token);
        }
    }

    pub(crate) fn on_tick(&mut self, now: Now, out: &mut Effects<S>) {
        if self.jobs.is_due(now.time, EXPIRY_PERIOD) {
            self.expire_sessions(now);
        }
        self.look_after_snapshots(now);
        self.look_after_spares(now);
        self.look_after_scrubbing(now, out);
        self.start_jobs(out);
        self.resend_chunks(now, out);
    }

    pub(crate) fn committed_tip(&self) -> Tip {
        self.journal.tip_at_or_below(self.voter.commit())
    }
}
