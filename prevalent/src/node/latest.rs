/// Orders of which one at a time is under way. Of those that wait the newest covers all.
///
/// For ballots: whoever writes two at once could have the older one last.
#[derive(Debug)]
pub(crate) struct Latest<O> {
    is_under_way: bool,
    waiting: Option<O>,
}

impl<O> Default for Latest<O> {
    fn default() -> Latest<O> {
        Latest { is_under_way: false, waiting: None }
    }
}

impl<O> Latest<O> {
    /// There is an order, in place of one that still waits.
    pub(crate) fn put(&mut self, order: Option<O>) {
        if order.is_some() {
            self.waiting = order;
        }
    }

    /// Whether [`Latest::take`] would give one.
    pub(crate) fn is_due(&self) -> bool {
        self.waiting.is_some() && !self.is_under_way
    }

    /// The order to be performed now.
    pub(crate) fn take(&mut self) -> Option<O> {
        let order = if self.is_under_way { None } else { self.waiting.take() };
        self.is_under_way |= order.is_some();
        order
    }

    /// The order that was under way was performed.
    pub(crate) fn is_done(&mut self) {
        assert!(self.is_under_way, "what was not given out cannot be done");
        self.is_under_way = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_waits_gives_way_to_the_next() {
        let mut orders = Latest::default();
        orders.put(Some(1));
        assert_eq!(orders.take(), Some(1));
        (2..5).for_each(|order| orders.put(Some(order)));
        orders.put(None);
        assert!(!orders.is_due(), "the first is under way");
        assert_eq!(orders.take(), None);
        orders.is_done();
        assert!(orders.is_due());
        assert_eq!(orders.take(), Some(4));
        orders.is_done();
        assert_eq!(orders.take(), None);
    }
}
