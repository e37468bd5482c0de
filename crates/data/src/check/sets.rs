//! Disjoint sets of numbers that are joined pair by pair (Tarjan 1975).

/// The numbers `0..len`, each in one set, named by the smallest number in it.
#[derive(Debug, Clone)]
pub(super) struct DisjointSets(Vec<u32>);

impl DisjointSets {
    pub fn new(len: usize) -> Self {
        Self((0..len as u32).collect())
    }

    /// The smallest number in the set of `member`.
    pub fn find(&mut self, member: usize) -> usize {
        let mut at = member as u32;
        while self.0[at as usize] != at {
            // Halving the path on the way keeps all later paths short.
            self.0[at as usize] = self.0[self.0[at as usize] as usize];
            at = self.0[at as usize];
        }
        at as usize
    }

    pub fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.find(one), self.find(other));
        self.0[one.max(other)] = one.min(other) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_together_exactly_where_pairs_connect_them(
            pairs in proptest::collection::vec((0usize..30, 0usize..30), 0..40),
        ) {
            let mut sets = DisjointSets::new(30);
            let mut names: Vec<usize> = (0..30).collect();
            for (one, other) in pairs {
                sets.join(one, other);
                let (low, high) = (names[one].min(names[other]), names[one].max(names[other]));
                names.iter_mut().filter(|name| **name == high).for_each(|name| *name = low);
            }
            for (number, name) in names.iter().enumerate() {
                prop_assert_eq!(sets.find(number), *name);
            }
        }
    }
}
