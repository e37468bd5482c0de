//! The official score of visual question answering (Antol et al. 2015, and its evaluation program for VQA 2.0).

/// Words that the normal form of an answer writes with all their apostrophes; one that lacks exactly one of them is
/// completed. This rule makes the official program's list, but for `somebody'd`, which loses its apostrophe.
const CONTRACTIONS: &str = "'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't \
    hadn't've hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't \
    mightn't've must've mustn't needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've \
    somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've \
    something'll that's there'd there'd've there're there's they'd they'd've they'll they're they've wasn't we'd've we've \
    weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll \
    why're why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've";

const NUMBERS: [(&str, &str); 12] = [
    ("none", "0"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];

/// The accuracy of one answer in 0..=1: the mean, over each person left out in turn, of min(people among the others who
/// gave that answer / 3, 1). Answers are compared in their [normal form](plain_answer), unless all people wrote the same:
/// then, as in the official program, the answer must be that very text.
///
/// One person's answer alone leaves nobody to agree with; the score is then one for an answer with the same normal form,
/// else zero. Zero without answers.
pub fn vqa_score(answer: &str, people: &[impl AsRef<str>]) -> f64 {
    let answer = on_one_line(answer);
    let people: Vec<String> = people.iter().map(|person| on_one_line(person.as_ref())).collect();
    if let [person] = people.as_slice() {
        return f64::from(plain_answer(&answer) == plain_answer(person));
    }
    let unanimous = people.windows(2).all(|pair| pair[0] == pair[1]);
    let matching = match unanimous {
        true => people.iter().filter(|person| **person == answer).count(),
        false => {
            let answer = plain_answer(&answer);
            people.iter().filter(|person| plain_answer(person) == answer).count()
        }
    };
    // Whoever gave the answer is missing when left out; all others leave as many as there are.
    let without = |matching: usize| (matching as f64 / 3.0).min(1.0);
    let others = (people.len() - matching) as f64 * without(matching);
    let sum = matching as f64 * without(matching.saturating_sub(1)) + others;
    sum / people.len().max(1) as f64
}

/// An answer without what does not matter: punctuation, capitals, articles, missing apostrophes; numbers up to ten are
/// digits.
pub fn plain_answer(answer: &str) -> String {
    let text = without_punctuation(&on_one_line(answer)).to_lowercase();
    let words = super::words::words(&text).map(|word| {
        let number = NUMBERS.iter().find(|(name, _)| *name == word);
        number.map_or(word, |(_, digits)| digits)
    });
    let words = words.filter(|word| !matches!(*word, "a" | "an" | "the"));
    words.map(completed).collect::<Vec<_>>().join(" ")
}

fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
        .trim_matches(super::words::is_space)
        .to_string()
}

/// Each sign goes if it stands beside a space somewhere in the text, or if there is a comma between digits; else it becomes
/// a space. Full stops go unless a digit follows.
fn without_punctuation(text: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let comma = |part: &[u8]| is_digit(part[0]) && part[1] == b',' && is_digit(part[2]);
    let thousands = text.as_bytes().windows(3).any(comma);
    let mut plain = text.to_string();
    for sign in ";/[]\"{}()=+\\_-><@`,?!".chars() {
        let beside = text.contains(&format!("{sign} ")) || text.contains(&format!(" {sign}"));
        plain = plain.replace(sign, if beside || thousands { "" } else { " " });
    }
    without_full_stops(&plain)
}

/// The official program passes a flag of value 32 where the number of replacements belongs: no more than that go.
fn without_full_stops(text: &str) -> String {
    let mut left = 32;
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let number = characters.peek().is_some_and(char::is_ascii_digit);
        match character == '.' && !number && left > 0 {
            true => left -= 1,
            false => plain.push(character),
        }
    }
    plain
}

/// A contraction with its apostrophes.
fn completed(word: &str) -> &str {
    let lacks_one = |full: &str| {
        let (full, word) = (full.as_bytes(), word.as_bytes());
        let lacks =
            |place: usize| full[place] == b'\'' && full[..place] == word[..place] && full[place + 1..] == word[place..];
        full.len() == word.len() + 1 && (0..full.len()).any(lacks)
    };
    match word {
        "somebody'd" => "somebodyd",
        _ => CONTRACTIONS.split(' ').find(|full| lacks_one(full)).unwrap_or(word),
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, hostile, number, text, texts};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_plain_as_in_the_official_program() {
        let file = golden("answers");
        for case in file["plain"].as_array().unwrap() {
            assert_eq!(plain_answer(text(&case[0])), text(&case[1]), "{case}");
        }
    }

    #[test]
    fn scores_are_those_of_the_official_program() {
        let file = golden("answers");
        let mut seen = std::collections::BTreeSet::new();
        for case in file["questions"].as_array().unwrap() {
            let score = vqa_score(text(&case["answer"]), &texts(&case["people"]));
            close(score, number(&case["score"]));
            seen.insert((score * 100.0).round() as u64);
        }
        assert!(seen.len() > 4, "{seen:?}");
    }

    #[test]
    fn one_persons_answer_is_compared_alone() {
        for (answer, person, score) in [
            ("A Dog.", "dog", 1.0),
            ("two", "2", 1.0),
            ("cat", "dog", 0.0),
            ("", "", 1.0),
        ] {
            assert_eq!(vqa_score(answer, &[person]), score);
        }
        assert_eq!(vqa_score("dog", &Vec::<String>::new()), 0.0);
    }

    proptest! {
        #[test]
        fn a_score_is_a_share_whatever_the_order(answer in hostile(), people in prop::collection::vec("a|the b|B|2|two|é", 0..12)) {
            let score = vqa_score(&answer, &people);
            prop_assert!((0.0..=1.0).contains(&score));
            let turned: Vec<&String> = people.iter().rev().collect();
            prop_assert_eq!(score, vqa_score(&answer, &turned));
            prop_assert_eq!(vqa_score(&answer, &[&answer; 10]), 1.0);
            plain_answer(&answer);
        }
    }
}
