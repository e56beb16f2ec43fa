//! Questions about the members, and changes of them.

use bytes::Bytes;
use quorum::Change;
use tokio::sync::oneshot;

use super::{Conversation, ConversationError, Denied, ToLoop, tell};
use crate::conversation::Answered;
use crate::wire::MessageWriter;

impl Conversation {
    pub(super) async fn members(&self, writer: &mut MessageWriter) -> Result<(), ConversationError> {
        let (reply, members) = oneshot::channel();
        let asked = self.may_see_all().and_then(|()| self.ask(ToLoop::Members { reply }, 0));
        let answered = match asked {
            Ok(()) => members.await.unwrap_or(Err(Denied::NotMaster)).map(Answered::Members),
            Err(denied) => Err(denied),
        };
        tell(&answered.unwrap_or_else(Answered::from), writer).await
    }

    pub(super) async fn change(
        &self,
        payload: Bytes,
        expected: Option<u64>,
        dry_run: bool,
        writer: &mut MessageWriter,
    ) -> Result<(), ConversationError> {
        let (reply, done) = oneshot::channel();
        let bytes = payload.len();
        let asked = self
            .change_in(&payload)
            .and_then(|change| self.ask(ToLoop::Change { change, expected, dry_run, reply }, bytes));
        let answered = match asked {
            Ok(()) => done.await.unwrap_or(Err(Denied::NotMaster)).map(|done| match done {
                Ok(list) => Answered::Changed { list },
                Err(refused) => Answered::Unchanged(refused),
            }),
            Err(denied) => Err(denied),
        };
        tell(&answered.unwrap_or_else(Answered::from), writer).await
    }

    /// The change that is asked for, if this certificate may ask for one.
    fn change_in(&self, payload: &[u8]) -> Result<Change, Denied> {
        self.service.gate.change_of_cluster(&self.actor).map_err(Denied::Refused)?;
        match postcard::take_from_bytes(payload) {
            Ok((change, [])) => Ok(change),
            _ => Err(Denied::Refused("the change is none that this version knows".to_owned())),
        }
    }
}
