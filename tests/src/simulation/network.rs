//! Links between voters and clients, and what befalls messages on them.
//!
//! Responsible for: which copies of a message arrive, and after how long. Not responsible for: their contents.

use std::collections::BTreeSet;
use std::time::Duration;

use super::chance::Chance;

/// A place on the network: the voters first, then the clients.
pub(super) type Node = usize;

/// How bad the network is, apart from links that are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Of a thousand messages so many are lost.
    pub(super) loss: u64,
    /// And so many arrive twice.
    pub(super) doubled: u64,
    /// And so many arrive after seconds.
    pub(super) ages: u64,
    /// The longest usual delay.
    pub(super) slowest: Duration,
}

impl Weather {
    /// A private LAN on a good day.
    pub(super) const FAIR: Weather =
        Weather { loss: 0, doubled: 0, ages: 0, slowest: Duration::from_millis(2) };

    pub(super) fn draw(chance: &mut Chance) -> Weather {
        let per_mille = |chance: &mut Chance, worst: u64| match chance.below(3) {
            0 => 0,
            1 => chance.below(worst / 10 + 1),
            _ => chance.below(worst + 1),
        };
        Weather {
            loss: per_mille(chance, 250),
            doubled: per_mille(chance, 300),
            ages: per_mille(chance, 10),
            slowest: chance.skewed(Duration::from_millis(1), Duration::from_millis(60)),
        }
    }
}

/// The fastest a message can be.
const FASTEST: Duration = Duration::from_micros(80);
/// The longest that a message can be under way.
const AGES: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(super) struct Network {
    chance: Chance,
    pub(super) weather: Weather,
    /// Directed links that carry nothing.
    cut: BTreeSet<(Node, Node)>,
    /// Two that have never heard each other, whatever else is healed.
    pub(super) strangers: Option<(Node, Node)>,
}

impl Network {
    pub(super) fn new(chance: Chance) -> Network {
        Network { chance, weather: Weather::FAIR, cut: BTreeSet::new(), strangers: None }
    }

    /// The delays of the copies of a message that will arrive.
    pub(super) fn deliver(&mut self, from: Node, to: Node) -> impl Iterator<Item = Duration> + use<> {
        let are_strangers = self.strangers == Some((from.min(to), from.max(to)));
        let copies =
            if are_strangers || self.cut.contains(&(from, to)) || self.chance.happens(self.weather.loss) {
                0
            } else if self.chance.happens(self.weather.doubled) {
                2
            } else {
                1
            };
        let delays: [Duration; 2] = [self.delay(), self.delay()];
        delays.into_iter().take(copies)
    }

    fn delay(&mut self) -> Duration {
        if self.chance.happens(self.weather.ages) {
            return self.chance.time(self.weather.slowest, AGES);
        }
        self.chance.skewed(FASTEST, self.weather.slowest)
    }

    pub(super) fn cut_one_way(&mut self, from: Node, to: Node) {
        self.cut.insert((from, to));
    }

    /// No messages between the one side and the other, in either direction.
    pub(super) fn split(&mut self, one: &[Node], other: &[Node]) {
        for &a in one {
            for &b in other {
                self.cut.insert((a, b));
                self.cut.insert((b, a));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn is_whole(&self) -> bool {
        self.cut.is_empty()
    }
}
