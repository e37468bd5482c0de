//! Reads an ARPA file, which may come from anyone.

use super::super::config::LARGEST_ORDER;
use super::super::model::NgramModel;
use super::super::trie::{ROOT, Trie};
use super::super::vocabulary::{BEGIN, END, OTHER_UNKNOWN, SPECIAL, UNKNOWN, Unit, Vocabulary};
use sensorium_data::{DataError, ErrorKind};

/// The bytes of the shortest n-gram, `0 a` and the line's end.
const SMALLEST_LINE: usize = 4;
/// Beyond any logarithm that a model needs, and small enough that sums stay finite.
const LARGEST_LOGARITHM: f32 = 1000.0;
/// Of `<unk>` in files without it, as KenLM has it.
const ABSENT: f32 = -100.0;

type Result<T> = std::result::Result<T, DataError>;

impl NgramModel {
    /// Reads the bytes of an ARPA file whose tokens are words or characters.
    ///
    /// The n-gram without its last token must be there for each n-gram; that without its first token need not.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] with the line, for what is not a whole and consistent ARPA file.
    pub fn read_arpa(bytes: &[u8], unit: Unit) -> Result<Self> {
        let mut lines = Lines::new(bytes);
        let sizes = header(&mut lines)?;
        let (mut model, mut weights) = unigrams(&mut lines, unit, sizes[0])?;
        for order in 2..=sizes.len() {
            // The highest order has no weights, so each waits for the next.
            model.back_offs.append(&mut weights);
            weights = extensions(&mut lines, &mut model, order, sizes[order - 1])?;
        }
        lines.expect("\\end\\")?;
        Ok(model)
    }
}

/// The lines that are not empty, numbered from 1.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }

    fn next(&mut self, expected: &str) -> Result<&'a str> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|&byte| byte == b'\n');
            let line = &self.rest[..end.unwrap_or(self.rest.len())];
            self.rest = &self.rest[end.map_or(self.rest.len(), |end| end + 1)..];
            self.number += 1;
            if !line.trim_ascii().is_empty() {
                let text = std::str::from_utf8(line.trim_ascii());
                return text.map_err(|_| self.damaged(expected, "bytes that are not UTF-8"));
            }
        }
        self.number += 1;
        Err(self.damaged(expected, "the end of the file"))
    }

    fn expect(&mut self, line: &str) -> Result<()> {
        let expected = format!("`{line}`");
        match self.next(&expected)? {
            found if found == line => Ok(()),
            found => Err(self.damaged(&expected, &quoted(found))),
        }
    }

    fn damaged(&self, expected: &str, found: &str) -> DataError {
        let message = format!("line {}: expected {expected}, found {found}", self.number);
        DataError::new(ErrorKind::Damaged, message)
    }
}

/// The beginning of a line, for messages.
fn quoted(line: &str) -> String {
    let mut beginning: String = line.chars().take(60).collect();
    if beginning.len() < line.len() {
        beginning.push('…');
    }
    format!("`{}`", beginning.escape_debug())
}

/// The declared number of n-grams of each order; leaves `lines` behind the heading of the unigrams.
fn header(lines: &mut Lines) -> Result<Vec<usize>> {
    while lines.next("`\\data\\`")? != "\\data\\" {}
    let mut sizes: Vec<usize> = Vec::new();
    loop {
        let expected = format!("`ngram {}=COUNT` or `\\1-grams:`", sizes.len() + 1);
        let line = lines.next(&expected)?;
        if line == "\\1-grams:" && !sizes.is_empty() {
            return Ok(sizes);
        }
        let declared = line.strip_prefix("ngram").and_then(|line| line.split_once('='));
        let number = |text: &str| text.trim().parse::<usize>().ok();
        match declared.and_then(|(order, size)| Some((number(order)?, number(size)?))) {
            Some((order, size)) if order == sizes.len() + 1 && order <= LARGEST_ORDER => sizes.push(size),
            _ => return Err(lines.damaged(&expected, &quoted(line))),
        }
        let room = lines.rest.len() / SMALLEST_LINE;
        if sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size)) > room {
            let expected = format!("at most the {room} n-grams that the file has room for");
            return Err(lines.damaged(&expected, &quoted(line)));
        }
    }
}

/// A line's log probability, tokens, and back-off weight, which may be left out.
fn entry<'a>(lines: &mut Lines<'a>, order: usize, tokens: &mut Vec<&'a str>) -> Result<(f32, f32)> {
    let expected = format!("a log probability, {order} tokens and perhaps a back-off weight");
    let line = lines.next(&expected)?;
    let mut fields = line.split_ascii_whitespace();
    let log10 = fields.next().and_then(logarithm).filter(|&log10| log10 <= 0.0);
    tokens.clear();
    tokens.extend(fields.by_ref().take(order));
    let weight = fields.next().map_or(Some(0.0), logarithm);
    match (log10, weight, fields.next()) {
        (Some(log10), Some(weight), None) if tokens.len() == order => Ok((log10, weight)),
        _ => Err(lines.damaged(&expected, &quoted(line))),
    }
}

fn logarithm(field: &str) -> Option<f32> {
    let value: f32 = field.parse().ok()?;
    (value.abs() <= LARGEST_LOGARITHM).then_some(value)
}

/// Reads the unigrams and returns their weights too.
fn unigrams(lines: &mut Lines, unit: Unit, size: usize) -> Result<(NgramModel, Vec<f32>)> {
    let mut vocabulary = Vocabulary::new(unit, []);
    let mut found: Vec<Option<(f32, f32)>> = vec![None; SPECIAL.len()];
    let mut tokens = Vec::new();
    for _ in 0..size {
        let values = entry(lines, 1, &mut tokens)?;
        let name = if tokens[0] == OTHER_UNKNOWN {
            SPECIAL[UNKNOWN as usize]
        } else {
            tokens[0]
        };
        let token = vocabulary.add(name) as usize;
        found.resize(found.len().max(token + 1), None);
        if found[token].replace(values).is_some() {
            return Err(lines.damaged("each token once", &format!("{} again", quoted(name))));
        }
    }
    found[UNKNOWN as usize].get_or_insert((ABSENT, 0.0));
    for token in [BEGIN, END] {
        if found[token as usize].is_none() {
            let expected = format!("`{}` among the 1-grams", SPECIAL[token as usize]);
            return Err(lines.damaged(&expected, "none"));
        }
    }
    let (log10, weights) = found.into_iter().flatten().unzip();
    let trie = Trie::new(vocabulary.tokens().len());
    let model = NgramModel {
        vocabulary,
        trie,
        log10,
        back_offs: Vec::new(),
    };
    Ok((model, weights))
}

/// An n-gram as its line has it: (node of all but the last token, last token), log probability and weight.
type Ngram = ((u32, u32), (f32, f32));

/// Reads the n-grams of `order` and returns their weights.
fn extensions(lines: &mut Lines, model: &mut NgramModel, order: usize, size: usize) -> Result<Vec<f32>> {
    lines.expect(&format!("\\{order}-grams:"))?;
    let mut ngrams: Vec<Ngram> = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..size {
        let values = entry(lines, order, &mut tokens)?;
        let Some(place) = place(model, &tokens) else {
            let expected = format!(
                "an n-gram whose first {} tokens stand among the shorter ones",
                order - 1
            );
            return Err(lines.damaged(&expected, &quoted(&tokens.join(" "))));
        };
        ngrams.push((place, values));
    }
    ngrams.sort_unstable_by_key(|&(place, _)| place);
    if ngrams.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(lines.damaged(&format!("each of the {order}-grams once"), "one again"));
    }
    model.trie.push_order(ngrams.iter().map(|&(place, _)| place))?;
    model.log10.extend(ngrams.iter().map(|&(_, (log10, _))| log10));
    Ok(ngrams.into_iter().map(|(_, (_, weight))| weight).collect())
}

/// The node of all but the last token, and the last token.
fn place(model: &NgramModel, tokens: &[&str]) -> Option<(u32, u32)> {
    let (&last, context) = tokens.split_last()?;
    let mut node = ROOT;
    for token in context {
        node = model.trie.child(node, model.vocabulary.find(token)?)?;
    }
    Some((node, model.vocabulary.find(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = "any words\n\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\t-0.5\r\n\
        -0.5 </s>\n-0.3\ta\t0.25\n\n\\2-grams:\n-0.1\ta </s>\n-0.2\t<s> a\n\n\\end\\\n";

    fn check(from: &str, to: &str, expected: &str) {
        let text = SMALL.replacen(from, to, 1);
        assert_ne!(text, SMALL);
        match NgramModel::read_arpa(text.as_bytes(), Unit::Word) {
            Err(error) => assert!(error.message.contains(expected), "{error}"),
            Ok(_) => assert_eq!(expected, "", "{text}"),
        }
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let model = NgramModel::read_arpa(SMALL.as_bytes(), Unit::Word).unwrap();
        assert_eq!((model.order(), model.sizes()), (2, vec![4, 2]));
        let score = model.evaluate(["a", "b a"]).log_probability / std::f64::consts::LN_10;
        let expected = (-0.2 - 0.1) + (-0.5 - 1.0) - 0.3 - 0.1;
        assert!((score - expected).abs() < 1e-6, "{score} is not {expected}");
    }

    #[test]
    fn what_is_not_whole_and_consistent_is_named() {
        check("\\data\\", "data", "found the end of the file");
        check("ngram 2=2", "ngram 3=2", "line 4: expected `ngram 2=COUNT`");
        check("ngram 2=2", "ngram 2=-2", "found `ngram 2=-2`");
        check("ngram 1=4", "ngram 1=4000000000000", "has room for");
        check("ngram 1=4", "ngram 1=5", "found `\\\\2-grams:`");
        check("ngram 1=4", "ngram 1=3", "expected `\\2-grams:`, found `-0.3");
        check("-0.3\ta", "-0.3\t</s>", "line 10: expected each token once");
        check("-0.3\ta", "nan\ta", "line 10: expected a log probability");
        check("-0.3\ta", "0.3\ta", "line 10");
        check("a\t0.25", "a\t-inf", "line 10");
        check("a </s>", "a </s> 1 2", "line 13: expected a log probability, 2 tokens");
        check("a </s>", "b </s>", "line 13: expected an n-gram whose first 1 tokens");
        check("a </s>", "<s> a", "2-grams once");
        check("-99\t<s>", "-99\tb", "`<s>` among the 1-grams");
        check("\\end\\", "", "expected `\\end\\`, found the end of the file");
    }

    #[test]
    fn what_other_writers_do_is_read() {
        check("<unk>", "<UNK>", "");
        check("-1\t<unk>", "-1\tb", "");
        check("-0.1\ta </s>", "-0.1\ta </s>\t0", "");
    }

    proptest! {
        #[test]
        fn no_bytes_end_the_program(
            cuts in prop::collection::vec((0..SMALL.len(), 0..9usize, "[-\\\\a0-9<s>\t \n.]{0,4}"), 0..6),
        ) {
            let mut bytes = SMALL.as_bytes().to_vec();
            for (at, length, new) in cuts {
                let at = at.min(bytes.len());
                let end = bytes.len().min(at + length);
                bytes.splice(at..end, new.into_bytes());
            }
            if let Ok(model) = NgramModel::read_arpa(&bytes, Unit::Word) {
                prop_assert!(model.evaluate(["a b a", ""]).log_probability.is_finite());
                prop_assert_eq!(NgramModel::read_arpa(&model.to_arpa(), Unit::Word).unwrap().to_arpa(), model.to_arpa());
            }
        }
    }
}
