//! A question about pictures and a video, or a dialogue about them, as the tokens that a model was trained to be asked by.

use super::super::invalid;
use super::TextConfig;
use super::dialogue::Turn;
use super::fit::{Part, Parts, cut, first_that_may_fit, whole};
use super::shown::{Shots, Shown, VideoWords};
use super::template::Template;
use super::tokenizer::Vocabulary;
use crate::Result;

/// How texts with places for other media become tokens.
#[derive(Debug)]
pub struct Prompts {
    /// What stands for a picture in a text, and its token.
    name: String,
    picture: u32,
    /// The token of a frame of a video, which is none of the vocabulary.
    pub frame: u32,
    video: Option<VideoWords>,
    template: Option<Template>,
    /// What stands between the texts of a dialogue without a template.
    separator: String,
}

/// What a text asks about.
struct Media<'a> {
    pictures: usize,
    video: Option<&'a Shots>,
}

/// What of it stands in front of the first question, with what stands behind each picture there.
struct Front<'a> {
    pictures: usize,
    video: Option<&'a Shots>,
    behind: &'a str,
}

/// What has been asked so far.
struct Asked<'a> {
    parts: Parts,
    template: Option<&'a Template>,
    /// How many media.
    media: usize,
}

impl Asked<'_> {
    /// The next medium, in the place of `token`.
    fn medium(&mut self, token: u32) {
        self.media += 1;
        match self.template {
            Some(template) => template.medium(&mut self.parts, token, self.media),
            None => self.parts.tokens(&[token]),
        }
    }
}

impl Prompts {
    /// None for texts that ask about nothing.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for special tokens that the vocabulary does not have.
    pub fn new(config: &TextConfig, vocabulary: &Vocabulary) -> Result<Option<Self>> {
        let Some(name) = &config.placeholder else {
            return Ok(None);
        };
        let picture = vocabulary.token(name).filter(|_| !name.is_empty());
        let missing = || {
            let message = format!("expected a vocabulary with the token `{name}`, found one without");
            invalid(message).in_field("placeholder")
        };
        let alone = vocabulary.frame().0.is_empty();
        let template = config.template.as_ref();
        let template = template.map(|template| Template::new(template, vocabulary, alone));
        Ok(Some(Self {
            name: name.clone(),
            picture: picture.ok_or_else(missing)?,
            frame: vocabulary.size() as u32,
            video: config.video.clone(),
            template: template.transpose()?,
            separator: config.dialogue.separator.clone(),
        }))
    }

    /// The tokens that are set around every text, but for those of the one who asks.
    pub fn length(&self) -> usize {
        self.template(false).map_or(0, Template::length)
    }

    /// What is set around a text, or around a list of turns.
    pub fn template(&self, is_list: bool) -> Option<&Template> {
        self.template
            .as_ref()
            .filter(|template| is_list || !template.config.lists_only)
    }

    /// The tokens of the last `turns` that fit into `limit`, of the last one at least a part; media stand where their names do,
    /// or in front of the first question. `tokens` gives those of a part, at most so many.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for turns that name media more or less often than they are, and for ones with
    /// nothing behind them that no template is set around.
    pub fn tokens(
        &self,
        turns: &[Turn],
        shown: &Shown,
        (template, limit): (Option<&Template>, usize),
        tokens: impl Fn(&str, usize) -> Result<Vec<u32>>,
    ) -> Result<Vec<u32>> {
        let media = self.media(turns, shown)?;
        let last = turns.len().saturating_sub(1);
        let mut first = first_that_may_fit(turns, limit, &tokens)?;
        loop {
            let (parts, end) = self.parts(&turns[first..], template, &media);
            if let (None, Some(Part::Token(_))) = (template, parts.last()) {
                let name = &self.name;
                return Err(invalid(format!("expected a text behind `{name}`, found none")));
            }
            if let Some(found) = whole(&parts, &end, limit, &tokens)? {
                return Ok(found);
            }
            if first == last {
                return cut(&parts, &end, (template.is_none(), limit), &tokens);
            }
            first += 1;
        }
    }

    /// What `turns` ask about.
    fn media<'a>(&self, turns: &[Turn], shown: &'a Shown) -> Result<Media<'a>> {
        let (name, found) = (&self.name, named(turns, &self.name));
        let pictures = match shown.pictures {
            None => found.max(1),
            Some(pictures) if pictures == 0 || found == 0 || found == pictures => pictures,
            Some(pictures) => {
                let media = if shown.heard { "sounds" } else { "pictures" };
                return Err(invalid(format!(
                    "expected `{name}` as often as there are {media} ({pictures}), or not at all; found it {found} times"
                )));
            }
        };
        let words = self.video.as_ref();
        let video = shown.video.as_ref().filter(|_| words.is_some());
        match words.filter(|words| video.is_some() && named(turns, &words.name) > 1) {
            Some(VideoWords { name, .. }) => Err(invalid(format!(
                "expected `{name}` once in a text, or not at all; found it {} times",
                named(turns, name)
            ))),
            None => Ok(Media { pictures, video }),
        }
    }

    /// The parts of `turns`, and those that stand behind them.
    fn parts(&self, turns: &[Turn], template: Option<&Template>, media: &Media) -> (Vec<Part>, Vec<Part>) {
        let has_place = |words: &VideoWords| named(turns, &words.name) > 0;
        let front = Front {
            pictures: media.pictures.saturating_sub(named(turns, &self.name)),
            video: media.video.filter(|_| !self.video.as_ref().is_some_and(has_place)),
            behind: template.map_or("", |template| &template.config.behind_picture),
        };
        let mut asked = Asked {
            parts: Parts::default(),
            template,
            media: 0,
        };
        let Some(template) = template else {
            for (number, turn) in turns.iter().enumerate() {
                asked.parts.text(if number > 0 { &self.separator } else { "" });
                self.question(&mut asked, turn, (number == 0).then_some(&front), media);
            }
            return (asked.parts.0, Vec::new());
        };
        let words = &template.config;
        asked.parts.tokens(&template.begin);
        template.words(&mut asked.parts, &words.system);
        for (number, turn) in turns.iter().enumerate() {
            if number > 0 {
                asked.parts.tokens(template.end.as_slice());
                asked.parts.text(template.gap());
            }
            let front = (number == 0).then_some(&front);
            let begins = turn.question.starts_with(&self.name) && media.pictures > 0;
            let sees = begins || front.is_some_and(|front| front.pictures > 0);
            template.words(&mut asked.parts, &words.asks);
            asked
                .parts
                .text(if sees { &words.before_picture } else { template.space() });
            self.question(&mut asked, turn, front, media);
            if let Some(answer) = &turn.answer {
                asked.parts.tokens(template.end.as_slice());
                template.words(&mut asked.parts, &words.answers);
                asked.parts.text(&format!("{}{answer}", template.space()));
            }
        }
        let mut end = Parts::default();
        end.tokens(template.end.as_slice());
        template.words(&mut end, &words.answers);
        (asked.parts.0, end.0)
    }

    /// A question with media in the places of their names, behind those in front of all.
    fn question(&self, asked: &mut Asked, turn: &Turn, front: Option<&Front>, media: &Media) {
        if let Some(front) = front {
            for _ in 0..front.pictures {
                asked.medium(self.picture);
                asked.parts.text(front.behind);
            }
            self.shots(asked, front.video);
        }
        let mut rest = turn.question.as_str();
        while let Some((at, name)) = self.first_name(rest) {
            asked.parts.text(&rest[..at]);
            match name == self.name {
                true if media.pictures > 0 => asked.medium(self.picture),
                true => {}
                false => self.shots(asked, media.video),
            }
            rest = &rest[at + name.len()..];
        }
        asked.parts.text(rest);
    }

    /// Where the first name of a medium stands in a text, and which one it is.
    fn first_name(&self, text: &str) -> Option<(usize, &str)> {
        let video = self.video.as_ref().map(|words| words.name.as_str());
        let names = [Some(self.name.as_str()), video].into_iter().flatten();
        names.filter_map(|name| Some((text.find(name)?, name))).min()
    }

    /// The frames of a video with the words around them.
    fn shots(&self, asked: &mut Asked, shots: Option<&Shots>) {
        let (Some(words), Some(shots)) = (&self.video, shots) else {
            return;
        };
        if words.is_whole {
            return asked.medium(self.frame);
        }
        let parts = &mut asked.parts;
        parts.text(&words.intro(shots));
        for seconds in &shots.seconds {
            parts.text(&words.frame(*seconds));
            parts.tokens(&[self.frame]);
        }
        parts.text(&words.end);
    }
}

/// How often questions hold a name.
fn named(turns: &[Turn], name: &str) -> usize {
    turns.iter().map(|turn| turn.question.matches(name).count()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::{DialogueConfig, TemplateConfig, TextProcessor, TokenizerConfig};
    use super::*;
    use crate::Value;
    use proptest::prelude::*;

    /// Words are tokens of their own, and so is the end of a line.
    const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [
        {"id": 11, "content": "<b>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
        {"id": 12, "content": "<e>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
        {"id": 13, "content": "<i>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "You:": 1, "Me:": 2, "a": 3, "b": 4, "c": 5, "d": 6,
            "two": 7, "0:00:03": 8, "00:00": 9, "00:02": 10}}}"#;
    /// The token of a frame.
    const FRAME: u32 = 14;

    fn processor(template: Option<TemplateConfig>, max_length: usize) -> TextProcessor {
        let config = TextConfig {
            tokenizer: TokenizerConfig::File {
                path: "tokenizer.json".into(),
            },
            max_length,
            placeholder: Some("<i>".into()),
            template,
            video: Some(VideoWords {
                name: "<v>".into(),
                intro: "{count} {duration} ".into(),
                frame: "{time} ".into(),
                end: " ".into(),
                is_whole: false,
            }),
            dialogue: DialogueConfig {
                separator: " d ".into(),
                ..DialogueConfig::default()
            },
            ..TextConfig::default()
        };
        TextProcessor::from_text(config, TOKENIZER.into()).unwrap()
    }

    fn special() -> TemplateConfig {
        TemplateConfig {
            begin: "<b>".into(),
            asks: "You:".into(),
            end: "<e>".into(),
            answers: "\nMe:".into(),
            ..TemplateConfig::default()
        }
    }

    fn shown(pictures: Option<usize>, video: bool) -> Shown {
        Shown {
            pictures,
            video: video.then(|| Shots {
                seconds: vec![0.0, 2.5],
                duration: 3.9,
            }),
            ..Shown::default()
        }
    }

    fn turn(question: &str, answer: Option<&str>) -> Value {
        let texts = [Some(question), answer].into_iter().flatten();
        Value::List(texts.map(|text| Value::Text(text.into())).collect())
    }

    fn turns() -> [Value; 3] {
        [turn("a", Some("b")), turn("c <i>", Some("d")), Value::Text("b".into())]
    }

    #[test]
    fn media_stand_at_their_names_or_in_front() {
        let check = |text: &str, pictures: usize, video: bool, expected: &[u32]| {
            let found = processor(Some(special()), 40).encode(text, &shown(Some(pictures), video));
            assert_eq!(found.unwrap(), expected, "{text:?} {pictures} {video}");
        };
        check("a <i> b <i>", 2, false, &[11, 1, 3, 13, 4, 13, 12, 2]);
        check("a", 2, false, &[11, 1, 13, 13, 3, 12, 2]);
        check("a <i>", 0, false, &[11, 1, 3, 12, 2]);
        check("a", 0, true, &[11, 1, 7, 8, 9, FRAME, 10, FRAME, 3, 12, 2]);
        check("a <v> b", 1, true, &[11, 1, 13, 3, 7, 8, 9, FRAME, 10, FRAME, 4, 12, 2]);
        check("a <v>", 1, false, &[11, 1, 13, 3, 12, 2]);
    }

    #[test]
    fn earlier_turns_stand_in_front_and_the_oldest_go_first() {
        let check = |max_length: usize, expected: &[u32]| {
            let found = processor(Some(special()), max_length).encode_turns(&turns(), &shown(Some(1), false));
            assert_eq!(found.unwrap(), expected, "{max_length}");
        };
        check(40, &[11, 1, 3, 12, 2, 4, 12, 1, 5, 13, 12, 2, 6, 12, 1, 4, 12, 2]);
        check(17, &[11, 1, 5, 13, 12, 2, 6, 12, 1, 4, 12, 2]);
        // Its picture stays when a turn goes.
        check(11, &[11, 1, 13, 4, 12, 2]);
        check(5, &[11, 1, 13, 12, 2]);
    }

    #[test]
    fn a_template_of_lists_leaves_texts_as_they_are() {
        let template = || TemplateConfig {
            asks: "You:".into(),
            answers: " Me:".into(),
            before_picture: " ".into(),
            behind_picture: "\na ".into(),
            lists_only: true,
            ..TemplateConfig::default()
        };
        let processor = processor(Some(template()), 40);
        let one = shown(Some(1), false);
        assert_eq!(processor.encode("a <i> b", &one).unwrap(), [3, 13, 4]);
        let found = processor.encode_turns(&[turn("b", Some("c")), turn("d", None)], &one);
        assert_eq!(found.unwrap(), [1, 13, 3, 4, 2, 5, 1, 6, 2]);
    }

    #[test]
    fn without_a_template_texts_are_joined() {
        let processor = processor(None, 9);
        let encode = |text: &str| processor.encode(text, &shown(Some(1), false));
        assert_eq!(encode("a <i> b").unwrap(), [3, 13, 4]);
        assert_eq!(encode("b").unwrap(), [13, 4]);
        assert_eq!(
            encode("a a a a a a a a a <i> b c").unwrap(),
            [3, 3, 3, 3, 3, 3, 3, 13, 4]
        );
        let found = processor.encode_turns(&turns(), &shown(Some(1), false)).unwrap();
        assert_eq!(found, [3, 4, 6, 5, 13, 6, 6, 4]);
        for text in ["a <i>", ""] {
            let error = encode(text).unwrap_err().to_string();
            assert!(error.contains("a text behind `<i>`"), "{error}");
        }
        assert!(!processor.encode("", &shown(Some(0), false)).unwrap().is_empty());
    }

    #[test]
    fn names_without_media_are_refused() {
        let refused = |text: &str, pictures: usize, words: &str| {
            let error = processor(Some(special()), 40).encode(text, &shown(Some(pictures), true));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(
            "<i> or <i>",
            1,
            "as often as there are pictures (1), or not at all; found it 2 times",
        );
        refused(
            "<i>",
            2,
            "as often as there are pictures (2), or not at all; found it 1 times",
        );
        refused(
            "<v> <v>",
            1,
            "expected `<v>` once in a text, or not at all; found it 2 times",
        );
    }

    proptest! {
        #[test]
        fn what_is_too_long_keeps_its_media_and_its_last_turn(
            lengths in proptest::collection::vec(0usize..30, 1..6), max_length in 12usize..60, pictures in 0usize..3,
        ) {
            let turns: Vec<Value> = lengths.iter().map(|&length| turn(&"a ".repeat(length), Some("b"))).collect();
            let processor = processor(Some(special()), max_length);
            let found = processor.encode_turns(&turns, &shown(Some(pictures), false)).unwrap();
            prop_assert!(found.len() <= max_length);
            prop_assert_eq!(found.iter().filter(|&&token| token == 13).count(), pictures);
            prop_assert!(found.ends_with(&[12, 2]));
        }
    }
}
