//! Counts of all n-grams of the training texts.

use super::NgramConfig;
use super::trie::Trie;
use super::vocabulary::{BEGIN, END, SPECIAL, Vocabulary};
use sensorium_data::{DataError, ErrorKind};
use std::cmp::{Ordering, Reverse};

/// How often each n-gram occurs. Tokens from `kept` on are to be dropped.
pub(super) struct Counts {
    pub vocabulary: Vocabulary,
    pub kept: usize,
    pub trie: Trie,
    pub counts: Vec<u64>,
}

/// Counts the n-grams of texts between [`BEGIN`] and [`END`]; the order falls to that of the longest text.
pub(super) fn count<'a>(config: &NgramConfig, texts: impl IntoIterator<Item = &'a str>) -> Result<Counts, DataError> {
    let (vocabulary, tokens) = read(config, texts);
    let (vocabulary, kept, tokens) = by_frequency(config, &vocabulary, tokens);
    if kept == SPECIAL.len() {
        let message = "expected texts with tokens in them, found none; check the column, or lower `prune`";
        return Err(DataError::new(ErrorKind::Invalid, message));
    }
    if tokens.len() >= u32::MAX as usize {
        let message = format!("expected fewer than {} tokens, found {}", u32::MAX, tokens.len());
        return Err(DataError::new(ErrorKind::TooLarge, message));
    }
    let (trie, counts) = count_runs(&tokens, config.order, vocabulary.tokens().len())?;
    Ok(Counts {
        vocabulary,
        kept,
        trie,
        counts,
    })
}

/// All texts as one row of tokens, numbered as they come.
fn read<'a>(config: &NgramConfig, texts: impl IntoIterator<Item = &'a str>) -> (Vocabulary, Vec<u32>) {
    let mut vocabulary = Vocabulary::new(config.unit, []);
    let mut tokens = Vec::new();
    for text in texts {
        tokens.push(BEGIN);
        config.unit.split(text, |token| tokens.push(vocabulary.add(token)));
        tokens.push(END);
    }
    (vocabulary, tokens)
}

/// Numbers the tokens anew, the frequent ones first and equals by name, so that what is dropped comes last.
fn by_frequency(config: &NgramConfig, vocabulary: &Vocabulary, mut tokens: Vec<u32>) -> (Vocabulary, usize, Vec<u32>) {
    let names = vocabulary.tokens();
    let mut counts = vec![0u64; names.len()];
    tokens.iter().for_each(|&token| counts[token as usize] += 1);
    let mut sorted: Vec<usize> = (SPECIAL.len()..names.len()).collect();
    sorted.sort_unstable_by_key(|&token| (Reverse(counts[token]), &names[token]));
    let frequent = sorted.partition_point(|&token| counts[token] > config.threshold(1));
    let kept = frequent.min(config.vocabulary.unwrap_or(usize::MAX));
    let mut numbers: Vec<u32> = (0..names.len() as u32).collect();
    for (at, &token) in sorted.iter().enumerate() {
        numbers[token] = (SPECIAL.len() + at) as u32;
    }
    tokens.iter_mut().for_each(|token| *token = numbers[*token as usize]);
    let names = sorted.iter().map(|&token| names[token].clone());
    (Vocabulary::new(config.unit, names), SPECIAL.len() + kept, tokens)
}

/// One order of n-grams in the making: (n-gram of all but the last token, last token) and counts.
#[derive(Default)]
struct Order {
    ngrams: Vec<(u32, u32)>,
    counts: Vec<u64>,
}

/// Equal n-grams stand together once all positions are sorted by what follows, whatever the order.
fn count_runs(tokens: &[u32], order: usize, vocabulary: usize) -> Result<(Trie, Vec<u64>), DataError> {
    let mut orders: Vec<Order> = (1..order).map(|_| Order::default()).collect();
    let mut counts = vec![0; vocabulary];
    let mut previous: &[u32] = &[];
    for start in sorted(tokens, order) {
        let ngram = longest(tokens, start, order);
        let shared = ngram.iter().zip(previous).take_while(|(a, b)| a == b).count();
        let mut parent = ngram[0];
        counts[parent as usize] += 1;
        for (level, (order, &token)) in orders.iter_mut().zip(&ngram[1..]).enumerate() {
            if level + 1 >= shared {
                order.ngrams.push((parent, token));
                order.counts.push(0);
            }
            parent = order.ngrams.len() as u32 - 1;
            order.counts[parent as usize] += 1;
        }
        previous = ngram;
    }
    collect(Trie::new(vocabulary), counts, orders)
}

fn collect(mut trie: Trie, mut counts: Vec<u64>, orders: Vec<Order>) -> Result<(Trie, Vec<u64>), DataError> {
    for order in orders.into_iter().take_while(|order| !order.ngrams.is_empty()) {
        let first = trie.nodes(trie.order()).start as u32;
        trie.push_order(order.ngrams.iter().map(|&(parent, token)| (first + parent, token)))?;
        counts.extend(order.counts);
    }
    Ok((trie, counts))
}

/// The longest n-gram that begins at `start`; it does not cross the end of a text.
fn longest(tokens: &[u32], start: u32, order: usize) -> &[u32] {
    let ngram = &tokens[start as usize..tokens.len().min(start as usize + order)];
    let end = ngram.iter().position(|&token| token == END);
    &ngram[..end.map_or(ngram.len(), |end| end + 1)]
}

/// All positions in the order of their longest n-grams.
fn sorted(tokens: &[u32], order: usize) -> impl Iterator<Item = u32> {
    // The first two tokens are in the key: most comparisons end there.
    let key = |start: usize| {
        let second = match tokens[start] {
            END => 0,
            _ => u64::from(tokens[start + 1]),
        };
        u64::from(tokens[start]) << 32 | second
    };
    let mut positions: Vec<(u64, u32)> = (0..tokens.len()).map(|start| (key(start), start as u32)).collect();
    positions.sort_unstable_by(|a, b| {
        let rest = || compare(tokens, a.1 as usize, b.1 as usize, order);
        a.0.cmp(&b.0).then_with(rest)
    });
    positions.into_iter().map(|(_, start)| start)
}

/// Compares the longest n-grams of two positions.
fn compare(tokens: &[u32], a: usize, b: usize, order: usize) -> Ordering {
    for offset in 0..order {
        let (left, right) = (tokens[a + offset], tokens[b + offset]);
        if left != right {
            return left.cmp(&right);
        }
        if left == END {
            break;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::super::trie::ROOT;
    use super::*;
    use std::collections::BTreeMap;

    fn check(order: usize, texts: &[&str]) {
        let config = NgramConfig {
            order,
            ..NgramConfig::default()
        };
        let counted = count(&config, texts.iter().copied()).unwrap();
        let mut expected = BTreeMap::new();
        for text in texts {
            let tokens = [&[BEGIN], &counted.vocabulary.encode(text)[..], &[END]].concat();
            for length in 1..=counted.trie.order() {
                tokens
                    .windows(length)
                    .for_each(|ngram| *expected.entry(ngram.to_vec()).or_insert(0) += 1);
            }
        }
        let parents = counted.trie.parents();
        let mut found = BTreeMap::new();
        for (node, &count) in counted.counts.iter().enumerate() {
            let path = std::iter::successors(Some(node as u32), |&node| {
                Some(parents[node as usize]).filter(|&parent| parent != ROOT)
            });
            let mut ngram: Vec<u32> = path.map(|node| counted.trie.token(node as usize)).collect();
            ngram.reverse();
            found.insert(ngram, count);
        }
        found.remove(&vec![0]);
        assert_eq!(found, expected);
    }

    #[test]
    fn every_ngram_is_counted() {
        check(3, &["a b a b a", "b a", "", "a", "b b b b", "c a b"]);
        check(1, &["a b a"]);
        check(9, &["a b a", "a b"]);
    }

    #[test]
    fn frequent_tokens_come_first_and_texts_without_tokens_are_refused() {
        let config = NgramConfig {
            prune: vec![1],
            ..NgramConfig::default()
        };
        let counted = count(&config, ["z z y y x"]).unwrap();
        assert_eq!(counted.vocabulary.tokens()[3..], ["y", "z", "x"]);
        assert_eq!(counted.kept, 5);
        assert_eq!(count(&config, ["x", " "]).err().unwrap().kind, ErrorKind::Invalid);
    }
}
