//! Near copies of texts: MinHash over character 5-grams (Broder 1997), candidates by bands, each
//! verified.

use super::sets::DisjointSets;
use rayon::prelude::*;
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// Texts are near from this Jaccard similarity of their 5-grams upwards.
const SIMILARITY: f64 = 0.9;
const GRAM: usize = 5;
/// With 16 bands of 8 hashes a pair at the limit is found with probability 0.9999.
const BANDS: usize = 16;
const BAND: usize = 8;
/// Texts are compared by this many characters from their start, and by their length.
const MOST_CHARACTERS: usize = 20_000;
/// A text is compared with at most this many others of a bucket.
const COMPARED: usize = 64;

/// Joins the places in `texts` of texts that are equal but for case, punctuation and white space,
/// or whose character 5-grams are nearly the same.
pub(super) fn join_near(texts: &[(usize, &str)], sets: &mut DisjointSets) {
    let keys: Vec<[u64; BANDS]> = texts.par_iter().map(|(_, text)| bands(&grams(text).0)).collect();
    for band in 0..BANDS {
        let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            let bucket = buckets.entry(key[band]).or_default();
            let number = texts[place].0;
            let mut joined = false;
            for &other in bucket.iter() {
                let together = sets.find(texts[other].0) == sets.find(number);
                if together || is_near(texts[other].1, texts[place].1) {
                    sets.join(texts[other].0, number);
                    joined = true;
                    break;
                }
            }
            // What is near to a text of the bucket is found through that text.
            if !joined && bucket.len() < COMPARED {
                bucket.push(place);
            }
        }
    }
}

/// Whether two texts are near copies.
fn is_near(one: &str, other: &str) -> bool {
    let ((one, one_length), (other, other_length)) = (grams(one), grams(other));
    let (short, long) = (one_length.min(other_length), one_length.max(other_length));
    if (short as f64) < SIMILARITY * long as f64 {
        return false;
    }
    let shared = shared(&one, &other);
    let union = one.len() + other.len() - shared;
    union == 0 || shared as f64 >= SIMILARITY * union as f64
}

/// The number of values that two ascending lists have in common.
fn shared(one: &[u64], other: &[u64]) -> usize {
    let (mut at, mut count) = (0, 0);
    for value in one {
        while at < other.len() && other[at] < *value {
            at += 1;
        }
        count += usize::from(other.get(at) == Some(value));
    }
    count
}

/// The hashes of the distinct 5-grams of a text, ascending, and its normalised length in
/// characters. A text shorter than a 5-gram is one gram.
fn grams(text: &str) -> (Vec<u64>, usize) {
    let characters = normalised(text);
    let kept = &characters[..characters.len().min(MOST_CHARACTERS)];
    let mut hashes: Vec<u64> = match kept.len() {
        0 => Vec::new(),
        length if length < GRAM => vec![hash(kept)],
        _ => kept.windows(GRAM).map(hash).collect(),
    };
    hashes.sort_unstable();
    hashes.dedup();
    (hashes, characters.len())
}

/// Letters and digits in compatibility form and lower case, single spaces between words.
fn normalised(text: &str) -> Vec<char> {
    let mut characters = Vec::new();
    for character in text.nfkc().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            characters.push(character);
        } else if characters.last().is_some_and(|last| *last != ' ') {
            characters.push(' ');
        }
    }
    if characters.last() == Some(&' ') {
        characters.pop();
    }
    characters
}

fn hash(gram: &[char]) -> u64 {
    gram.iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, &character| mix(sum ^ u64::from(character)))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// One key for each band of minimal hashes.
fn bands(grams: &[u64]) -> [u64; BANDS] {
    let minimum = |number: usize| {
        let seed = mix(number as u64);
        grams.iter().map(|gram| mix(gram ^ seed)).min().unwrap_or(0)
    };
    std::array::from_fn(|band| (band * BAND..(band + 1) * BAND).fold(0, |key, number| mix(key ^ minimum(number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: &str = "The film begins slowly, but from the second scene on nothing can stop it: the two leads play as \
        if they had known each other all their lives, and the music carries them over every weak line of the script.";

    fn check(one: &str, other: &str, expected: bool) {
        let mut sets = DisjointSets::new(2);
        join_near(&[(0, one), (1, other)], &mut sets);
        assert_eq!(sets.find(1) == 0, expected, "{one:?} {other:?}");
    }

    #[test]
    fn small_changes_are_near_and_others_are_not() {
        check(REVIEW, &REVIEW.to_uppercase().replace(',', " ,"), true);
        check(REVIEW, &REVIEW.replace("slowly", "slow"), true);
        check(REVIEW, &REVIEW[..150], false);
        check(
            REVIEW,
            "The film begins slowly, and that is the best that can be said of it.",
            false,
        );
        check("Yes!", "yes", true);
        check("yes", "no", false);
        check("", " ?", true);
        check("", "a", false);
    }

    #[test]
    fn every_near_copy_is_found_and_no_other_joined() {
        let texts: Vec<String> = (0..400usize)
            .map(|number| {
                let story = (0..12).map(|word| format!("w{} ", mix((number / 2 * 12 + word) as u64) % 100_000));
                // The second of each pair differs by one letter at its end.
                story.collect::<String>() + ["a", "b"][number % 2]
            })
            .collect();
        let texts: Vec<(usize, &str)> = texts.iter().map(String::as_str).enumerate().collect();
        let mut sets = DisjointSets::new(texts.len());
        join_near(&texts, &mut sets);
        assert!((0..400).all(|number| sets.find(number) == number / 2 * 2));
    }

    #[test]
    fn a_long_text_is_bounded() {
        let long = "word ".repeat(200_000);
        check(&long, &long[..500_000], false);
        check(&long, &format!("{long}end"), true);
    }
}
