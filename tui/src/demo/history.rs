//! The last orders, and no more than that.

use std::collections::VecDeque;

use serde::Serialize;

/// An order that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// Number of the order.
    pub number: u64,
    /// What was ordered.
    pub lines: Vec<String>,
}

/// A ring of orders.
#[derive(Debug)]
pub struct History {
    capacity: usize,
    orders: VecDeque<Order>,
    taken: u64,
}

impl History {
    /// A ring of at most so many orders.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            orders: VecDeque::with_capacity(capacity),
            taken: 0,
        }
    }

    /// Takes an order; the oldest goes when there are too many. Returns its number.
    #[inline(never)]
    pub fn push_order(&mut self, lines: &[&str]) -> u64 {
        if self.orders.len() >= self.capacity {
            self.orders.pop_front();
        }
        self.taken += 1;
        self.orders.push_back(Order {
            number: self.taken,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        });
        self.taken
    }

    /// The newest orders.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<Order> {
        self.orders.iter().rev().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_newest() {
        let mut history = History::new(2);
        for _ in 0..5 {
            history.push_order(&["tea"]);
        }
        let numbers: Vec<u64> = history.newest(9).iter().map(|order| order.number).collect();
        assert_eq!(numbers, [5, 4]);
    }
}
