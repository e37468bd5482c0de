//! Spaces between Chinese words, for tokenizers that begin with words.

use super::super::Segment;
use jieba_rs::Jieba;
use std::sync::LazyLock;

/// Reading the dictionary takes a second or so, which only those who segment spend.
static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// Sets a space between two words where at least one of them is written in Chinese characters.
pub fn separate(text: &str, segment: Segment) -> String {
    if !text.contains(is_chinese) {
        return text.to_string();
    }
    let mut separated = String::with_capacity(text.len() * 3 / 2);
    for token in JIEBA.cut(text, segment == Segment::Chinese) {
        let (before, after) = (separated.chars().next_back(), token.word.chars().next());
        if before
            .zip(after)
            .is_some_and(|(before, after)| is_border(before, after))
        {
            separated.push(' ');
        }
        separated.push_str(token.word);
    }
    separated
}

fn is_border(before: char, after: char) -> bool {
    (is_chinese(before) || is_chinese(after)) && !before.is_whitespace() && !after.is_whitespace()
}

/// The blocks of unified ideographs, their extensions and their compatibility forms.
fn is_chinese(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, segment: Segment, expected: &str) {
        assert_eq!(separate(text, segment), expected);
    }

    #[test]
    fn words_stand_apart_and_other_text_stays() {
        check("我来到北京清华大学。", Segment::Chinese, "我 来到 北京 清华大学 。");
        check("no Chinese: a+b, 3.5%", Segment::Chinese, "no Chinese: a+b, 3.5%");
        check("用GPU训练 model，很快", Segment::Chinese, "用 GPU 训练 model， 很快");
        check("", Segment::Chinese, "");
    }

    #[test]
    fn the_model_finds_words_that_the_dictionary_lacks() {
        check("他来到了网易杭研大厦", Segment::Chinese, "他 来到 了 网易 杭研 大厦");
        check(
            "他来到了网易杭研大厦",
            Segment::ChineseDictionary,
            "他 来到 了 网易 杭 研 大厦",
        );
    }

    proptest::proptest! {
        #![proptest_config(crate::testing::cases(500))]
        #[test]
        fn only_spaces_are_added(text in "[一-龥豈㐀a-c0-9 ，。\u{0}]{0,30}|.{0,20}") {
            for segment in [Segment::Chinese, Segment::ChineseDictionary] {
                let bare = |text: &str| text.replace(' ', "");
                assert_eq!(bare(&separate(&text, segment)), bare(&text));
            }
        }
    }
}
