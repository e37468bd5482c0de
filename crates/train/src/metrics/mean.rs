//! The mean of a value that every row has, such as its CIDEr or ROUGE-L.

use std::ops::AddAssign;

/// A sum and how many values are in it. Sums of rows give a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// One row.
    pub fn new(value: f64) -> Self {
        Self { sum: value, count: 1 }
    }

    /// The mean; zero without rows.
    pub fn value(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl AddAssign<&Self> for Mean {
    fn add_assign(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], expected: f64) {
        let mut mean = Mean::default();
        values.iter().for_each(|&value| mean += &Mean::new(value));
        assert_eq!(mean.value(), expected);
    }

    #[test]
    fn rows_weigh_the_same() {
        check(&[], 0.0);
        check(&[2.0], 2.0);
        check(&[1.0, 2.0, 6.0], 3.0);
    }
}
