//! Writes a model as an ARPA file.

use super::super::model::NgramModel;
use super::super::trie::ROOT;
use std::io::{self, Write};

impl NgramModel {
    /// Writes an ARPA file. Numbers have as many digits as are needed to read the same model again.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_arpa(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\\data\\")?;
        for (at, size) in self.sizes().into_iter().enumerate() {
            writeln!(out, "ngram {}={size}", at + 1)?;
        }
        let parents = self.trie.parents();
        for order in 1..=self.order() {
            writeln!(out, "\n\\{order}-grams:")?;
            for node in self.trie.nodes(order) {
                self.write_ngram(node, &parents, out)?;
            }
        }
        writeln!(out, "\n\\end\\")
    }

    fn write_ngram(&self, node: usize, parents: &[u32], out: &mut impl Write) -> io::Result<()> {
        // Adding zero takes the sign of a negative zero.
        write!(out, "{}", self.log10[node] + 0.0)?;
        let mut tokens = Vec::new();
        let mut at = node as u32;
        while at != ROOT {
            tokens.push(self.trie.token(at as usize));
            at = parents[at as usize];
        }
        for (count, &token) in tokens.iter().rev().enumerate() {
            let separator = if count == 0 { '\t' } else { ' ' };
            write!(out, "{separator}{}", self.vocabulary.tokens()[token as usize])?;
        }
        match self.back_offs.get(node) {
            Some(weight) => writeln!(out, "\t{}", weight + 0.0),
            None => writeln!(out),
        }
    }

    /// The bytes of an ARPA file.
    pub fn to_arpa(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_arpa(&mut bytes).expect("a vector takes all bytes");
        bytes
    }
}
