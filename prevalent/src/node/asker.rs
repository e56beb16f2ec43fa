//! Who waits for the answers to which commands.

use std::collections::VecDeque;

use crate::replica::ClientId;

/// Batches of commands with something unanswered, in the order in which they came. An id stands for one batch.
///
/// Answers come in that order too, as a rule, so the list stays short, and its memory is used again and again.
#[derive(Debug)]
pub(crate) struct Askers<C> {
    /// The id of the first batch in the list.
    first: u64,
    batches: VecDeque<Option<Batch<C>>>,
}

#[derive(Debug)]
struct Batch<C> {
    who: C,
    unanswered: usize,
}

impl<C> Default for Askers<C> {
    fn default() -> Askers<C> {
        Askers { first: 0, batches: VecDeque::new() }
    }
}

impl<C: Clone> Askers<C> {
    /// A batch of so many commands, or one registration, that `who` waits for.
    pub(crate) fn admit(&mut self, who: C, commands: usize) -> ClientId {
        let id = ClientId(self.first + self.batches.len() as u64);
        self.batches.push_back((commands > 0).then_some(Batch { who, unanswered: commands }));
        id
    }

    /// So many commands of a batch are answered: who waits for that. `None`: nobody any more.
    pub(crate) fn settle(&mut self, id: ClientId, commands: usize) -> Option<C> {
        let at = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let place = self.batches.get_mut(at)?;
        let batch = place.as_mut()?;
        batch.unanswered = batch.unanswered.saturating_sub(commands);
        if batch.unanswered > 0 {
            return Some(batch.who.clone());
        }
        let who = place.take().map(|batch| batch.who);
        self.let_go();
        who
    }

    /// Forgets the batches of those who have gone.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&C) -> bool) {
        for place in &mut self.batches {
            place.take_if(|batch| is_gone(&batch.who));
        }
        self.let_go();
    }

    /// Takes out whoever still waits.
    pub(crate) fn dismiss(&mut self) -> impl Iterator<Item = C> + use<'_, C> {
        self.first += self.batches.len() as u64;
        self.batches.drain(..).flatten().map(|batch| batch.who)
    }

    fn let_go(&mut self) {
        while self.batches.pop_front_if(|place| place.is_none()).is_some() {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_waited_for_until_its_last_answer() {
        let mut askers = Askers::default();
        let (a, b, c) = (askers.admit("a", 2), askers.admit("b", 1), askers.admit("c", 1));
        assert_eq!(askers.settle(b, 1), Some("b"), "out of order");
        assert_eq!(askers.settle(b, 1), None);
        assert_eq!(askers.settle(a, 1), Some("a"));
        assert_eq!(askers.batches.len(), 3);
        assert_eq!(askers.settle(a, 1), Some("a"));
        assert_eq!(askers.settle(a, 1), None);
        assert_eq!(askers.batches.len(), 1, "what is settled takes no room");
        assert_eq!(askers.settle(c, 9), Some("c"));
        assert_eq!(askers.admit("d", 1), ClientId(3));
    }

    #[test]
    fn those_who_have_gone_are_forgotten() {
        let mut askers = Askers::default();
        let (a, b) = (askers.admit("a", 1), askers.admit("b", 1));
        askers.forget(|who| *who == "a");
        assert_eq!(askers.batches.len(), 1);
        assert_eq!((askers.settle(a, 1), askers.settle(b, 1)), (None, Some("b")));
        let empty = askers.admit("nothing asked", 0);
        assert_eq!(askers.settle(empty, 1), None);
    }

    #[test]
    fn an_id_of_before_a_dismissal_stands_for_nobody() {
        let mut askers = Askers::default();
        let (a, b) = (askers.admit("a", 1), askers.admit("b", 1));
        askers.settle(a, 1);
        assert_eq!(askers.dismiss().collect::<Vec<_>>(), ["b"]);
        let c = askers.admit("c", 1);
        assert_eq!(askers.settle(b, 1), None);
        assert_eq!(askers.settle(c, 1), Some("c"));
    }
}
