//! N-grams of all orders in sorted arrays: the node of an n-gram, its extensions to the right, its shorter suffix.

use super::vocabulary::UNKNOWN;
use sensorium_data::{DataError, ErrorKind};

/// The empty n-gram. Its children are the unigrams, whose nodes are their tokens.
pub(super) const ROOT: u32 = u32::MAX;

/// The nodes of an order follow those of the order before, sorted by (node of all but the last token, last token).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trie {
    /// The last token of each n-gram.
    tokens: Vec<u32>,
    /// The node of the longest proper suffix that is an n-gram too.
    suffixes: Vec<u32>,
    /// Where the children of each node below the highest order begin, and where the last one's end.
    children: Vec<u32>,
    /// Where each order begins, and where the last one ends.
    orders: Vec<usize>,
}

impl Trie {
    /// The unigrams alone, one for each of `vocabulary` tokens.
    pub fn new(vocabulary: usize) -> Self {
        Self {
            tokens: (0..vocabulary as u32).collect(),
            suffixes: vec![ROOT; vocabulary],
            children: vec![vocabulary as u32],
            orders: vec![0, vocabulary],
        }
    }

    /// Adds the n-grams of the next order, given as (node of all but the last token, last token), sorted and distinct.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond the four thousand millions that nodes are numbered with.
    pub fn push_order(&mut self, ngrams: impl Iterator<Item = (u32, u32)>) -> Result<(), DataError> {
        let parents = self.nodes(self.order());
        self.children.pop();
        for (parent, token) in ngrams {
            self.children.resize(parent as usize + 1, self.tokens.len() as u32);
            self.suffixes.push(self.extend(self.suffixes[parent as usize], token).1);
            self.tokens.push(token);
        }
        self.children.resize(parents.end + 1, self.tokens.len() as u32);
        self.orders.push(self.tokens.len());
        match self.tokens.len() < ROOT as usize {
            true => Ok(()),
            false => {
                let message = "expected fewer than 4294967295 n-grams, found more; prune them or lower the order";
                Err(DataError::new(ErrorKind::TooLarge, message))
            }
        }
    }

    /// The highest order.
    pub fn order(&self) -> usize {
        self.orders.len() - 1
    }

    /// The nodes of an order, counted from 1.
    pub fn nodes(&self, order: usize) -> std::ops::Range<usize> {
        self.orders[order - 1]..self.orders[order]
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn token(&self, node: usize) -> u32 {
        self.tokens[node]
    }

    pub fn suffix(&self, node: u32) -> u32 {
        self.suffixes[node as usize]
    }

    /// The nodes that extend `node`, which is below the highest order.
    pub fn children(&self, node: usize) -> std::ops::Range<usize> {
        self.children[node] as usize..self.children[node + 1] as usize
    }

    /// The node of `node` extended by `token`.
    pub fn child(&self, node: u32, token: u32) -> Option<u32> {
        if node == ROOT {
            return Some(if (token as usize) < self.orders[1] {
                token
            } else {
                UNKNOWN
            });
        }
        if node as usize + 1 >= self.children.len() {
            return None;
        }
        let children = self.children(node as usize);
        let at = self.tokens[children.clone()].binary_search(&token).ok()?;
        Some((children.start + at) as u32)
    }

    /// The longest suffix of `node` that `token` extends, and its extension.
    pub fn extend(&self, mut node: u32, token: u32) -> (u32, u32) {
        loop {
            match self.child(node, token) {
                Some(child) => return (node, child),
                None => node = self.suffix(node),
            }
        }
    }

    /// The node of all but the last token, for each node; [`ROOT`] for the unigrams.
    pub fn parents(&self) -> Vec<u32> {
        let mut parents = vec![ROOT; self.len()];
        for node in 0..self.children.len() - 1 {
            parents[self.children(node)].fill(node as u32);
        }
        parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_and_suffixes_are_found() {
        let mut trie = Trie::new(4);
        trie.push_order([(1, 3), (3, 2), (3, 3)].into_iter()).unwrap();
        trie.push_order([(4, 3), (6, 2)].into_iter()).unwrap();
        assert_eq!((trie.order(), trie.len()), (3, 9));
        assert_eq!(trie.child(1, 3), Some(4));
        assert_eq!(trie.child(1, 2), None);
        assert_eq!(trie.child(4, 3), Some(7));
        assert_eq!(trie.child(7, 3), None);
        assert_eq!(trie.child(ROOT, 9), Some(UNKNOWN));
        assert_eq!([4, 6, 7, 8].map(|node| trie.suffix(node)), [3, 3, 6, 5]);
        assert_eq!(trie.extend(4, 2), (3, 5));
        assert_eq!(trie.parents()[4..], [1, 3, 3, 4, 6]);
        assert_eq!(trie.children(2), 5..5);
    }
}
