use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What one simulation is to be. The same order always makes the same story.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Decides everything that the rest does not.
    pub seed: u64,
    /// The number of voters, instead of one that the seed chooses.
    pub voters: Option<usize>,
    /// Misfortunes, harms and ambushes that are not to happen, by name.
    pub without: BTreeSet<String>,
    /// The storm ends at the latest after this time.
    pub until: Option<Duration>,
}

impl Order {
    /// The story of a seed, whole.
    #[must_use]
    pub fn of_seed(seed: u64) -> Order {
        Order { seed, ..Order::default() }
    }
}

/// The arguments of `simulate` that repeat it.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {}", self.seed)?;
        if let Some(voters) = self.voters {
            write!(f, " --voters {voters}")?;
        }
        if let Some(until) = self.until {
            write!(f, " --until {}", until.as_millis())?;
        }
        for name in &self.without {
            write!(f, " --without {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_told_as_the_arguments_that_repeat_it() {
        let without = BTreeSet::from(["Rot".to_owned(), "Lie".to_owned()]);
        let order = Order { seed: 5, voters: Some(3), without, until: Some(Duration::from_millis(1500)) };
        assert_eq!(order.to_string(), "--seed 5 --voters 3 --until 1500 --without Lie --without Rot");
        assert_eq!(Order::of_seed(5).to_string(), "--seed 5");
    }
}
