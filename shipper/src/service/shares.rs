//! What the holder of each certificate takes of a voter.
//!
//! Responsible for: that one holder's programs, however many and however faulty, leave enough for all
//! others. Not responsible for: what happens to whoever gets nothing; mostly it is told `Busy`.
//!
//! Of everything a holder may have so much, and all of them together so much. The last quarter of it is
//! for those who have taken little: a few holders that take all they may do not shut the others out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::identity::{Holder, Identity};

/// Questions of clients that may wait for the loop, or there for their answer.
pub(crate) const QUESTIONS_MAX: usize = 4096;

/// What there is only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Good {
    Connections,
    /// Questions that wait for the loop or for their answer.
    Questions,
    /// Bytes of those questions: commands, mostly.
    QuestionBytes,
    Watches,
    Followers,
    /// Snapshots that are verified or sent.
    Snapshots,
}

/// How much of each good.
type Amounts = [usize; 6];

const NOTHING: Amounts = [0; 6];

/// What may be taken of a good.
struct Limits {
    /// Who has no more than this has taken little.
    little: usize,
    holder_max: usize,
    all_max: usize,
}

/// In the order of [`Good`].
const LIMITS: [Limits; 6] = [
    // A hundred nodes, a few people's programs, and one connection more of each while it is replaced. Of one
    // certificate: several programs of a person, or the old and the new of a node.
    Limits { little: 2, holder_max: 32, all_max: 512 },
    Limits { little: 16, holder_max: 512, all_max: QUESTIONS_MAX },
    // The loop takes commands faster than any disk: what waits longer is a stall's.
    Limits { little: 128 * 1024, holder_max: 4 * 1024 * 1024, all_max: 16 * 1024 * 1024 },
    Limits { little: 4, holder_max: 64, all_max: 4096 },
    Limits { little: 1, holder_max: 16, all_max: 256 },
    // Each reads a whole one from the disk.
    Limits { little: 1, holder_max: 2, all_max: 4 },
];

impl Limits {
    fn allow(&self, own: usize, all: usize) -> bool {
        let all_max = if own <= self.little { self.all_max } else { self.all_max / 4 * 3 };
        own <= self.holder_max && all <= all_max
    }
}

/// Who has taken what.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    taken: Mutex<Taken>,
    /// The names of the nodes that are connected.
    nodes: watch::Sender<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: Amounts,
    /// Those that have anything.
    by_holder: BTreeMap<Arc<Identity>, Amounts>,
}

/// Something taken, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    holder: Arc<Identity>,
    amounts: Amounts,
}

impl Shares {
    /// The names of the nodes that are connected, at every change.
    pub(crate) fn nodes(&self) -> watch::Receiver<BTreeSet<String>> {
        self.nodes.subscribe()
    }

    /// Takes so much of each of these goods for `holder`; `None` if there is not enough of one for it.
    pub(crate) fn take(self: &Arc<Shares>, holder: &Arc<Identity>, goods: &[(Good, usize)]) -> Option<Share> {
        let mut amounts = NOTHING;
        for &(good, amount) in goods {
            amounts[good as usize] = amount;
        }
        let mut taken = self.lock();
        let own = taken.by_holder.get(holder).copied().unwrap_or(NOTHING);
        let (own, all) = (sum(&own, &amounts), sum(&taken.all, &amounts));
        let enough = |good: usize| amounts[good] == 0 || LIMITS[good].allow(own[good], all[good]);
        if !(0..LIMITS.len()).all(enough) {
            return None;
        }
        taken.all = all;
        taken.by_holder.insert(Arc::clone(holder), own);
        self.publish(&taken, &amounts);
        Some(Share { shares: Arc::clone(self), holder: Arc::clone(holder), amounts })
    }

    fn give_back(&self, holder: &Arc<Identity>, amounts: &Amounts) {
        let mut taken = self.lock();
        let own = taken.by_holder.get_mut(holder).expect("who gives back has taken");
        *own = difference(own, amounts);
        if *own == NOTHING {
            taken.by_holder.remove(holder);
        }
        taken.all = difference(&taken.all, amounts);
        self.publish(&taken, amounts);
    }

    fn publish(&self, taken: &Taken, changed: &Amounts) {
        if changed[Good::Connections as usize] == 0 {
            return;
        }
        let nodes = taken.nodes();
        self.nodes.send_if_modified(|published| {
            let differs = *published != nodes;
            *published = nodes;
            differs
        });
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn nodes(&self) -> BTreeSet<String> {
        let connected = self.by_holder.iter().filter(|(_, own)| own[Good::Connections as usize] > 0);
        let name = |identity: &Identity| match &identity.holder {
            Holder::Node(name) => Some(name.to_string()),
            Holder::Voter(_) | Holder::Operator(_) | Holder::Viewer(_) | Holder::Admin(_) => None,
        };
        connected.filter_map(|(identity, _)| name(identity)).collect()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.give_back(&self.holder, &self.amounts);
    }
}

fn sum(a: &Amounts, b: &Amounts) -> Amounts {
    std::array::from_fn(|good| a[good] + b[good])
}

fn difference(a: &Amounts, b: &Amounts) -> Amounts {
    std::array::from_fn(|good| a[good] - b[good])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Name, Serial};
    use position::ClusterId;

    fn holder(number: usize) -> Arc<Identity> {
        let name = Name::new(&format!("pc{number}")).unwrap();
        Arc::new(Identity { cluster: ClusterId(1), holder: Holder::Node(name), serial: Serial::FIRST })
    }

    /// How many times `amount` of `good` a holder gets.
    fn take_all(shares: &Arc<Shares>, holder: &Arc<Identity>, good: Good, amount: usize) -> Vec<Share> {
        std::iter::from_fn(|| shares.take(holder, &[(good, amount)])).collect()
    }

    #[test]
    fn greedy_holders_leave_something_for_the_modest_ones() {
        let goods = [
            (Good::Connections, 1),
            (Good::Questions, 1),
            (Good::QuestionBytes, 64 * 1024),
            (Good::Watches, 1),
            (Good::Followers, 1),
            (Good::Snapshots, 1),
        ];
        for (good, amount) in goods {
            let Limits { little, holder_max, all_max } = LIMITS[good as usize];
            let shares = Arc::default();
            let greedy: Vec<_> =
                (0..1000).map(|number| take_all(&shares, &holder(number), good, amount)).collect();
            assert_eq!(greedy[0].len() * amount, holder_max, "{good:?} of one holder");
            // The last of them still got what is little.
            let taken: usize = greedy.iter().map(|shares| shares.len() * amount).sum();
            assert_eq!(taken, all_max, "{good:?} of all");
            let modest = greedy.iter().filter(|shares| shares.len() * amount == little).count();
            assert!(modest * little >= all_max / 4 - little, "{modest} holders got little {good:?}");
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let shares = Arc::default();
        let (first, second) = (holder(1), holder(2));
        let taken = take_all(&shares, &first, Good::Watches, 1);
        assert!(shares.take(&first, &[(Good::Questions, 1), (Good::Watches, 1)]).is_none());
        let other = shares.take(&second, &[(Good::Watches, 1)]);
        assert!(other.is_some());
        drop(taken);
        assert!(shares.take(&first, &[(Good::Watches, 64)]).is_some());
        drop(other);
        assert!(shares.lock().by_holder.is_empty(), "nobody is remembered for having nothing");
        assert_eq!(shares.lock().all, NOTHING);
    }

    #[test]
    fn what_is_larger_than_a_share_is_never_given() {
        let shares: Arc<Shares> = Arc::default();
        assert!(shares.take(&holder(1), &[(Good::QuestionBytes, usize::MAX / 2)]).is_none());
    }
}
