//! One token in a text that stands for another medium.

use super::super::invalid;
use super::tokenizer::Vocabulary;
use crate::Result;

/// A special token of a public vocabulary, in whose place a model reads something else.
#[derive(Debug)]
pub struct Placeholder {
    name: String,
    token: u32,
}

impl Placeholder {
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a name that the vocabulary does not have.
    pub fn new(name: &str, vocabulary: &Vocabulary) -> Result<Self> {
        match vocabulary.token(name) {
            Some(token) if !name.is_empty() => Ok(Self {
                name: name.to_string(),
                token,
            }),
            _ => Err(invalid(format!(
                "expected a vocabulary with the token `{name}`, found one without"
            ))
            .in_field("placeholder")),
        }
    }

    /// The tokens of a text, at most `limit`, with this one in the place of its name, or in front where the text does not
    /// hold it; `tokens` gives those of a part, at most so many.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a text that holds the name twice, or nothing behind it.
    pub fn tokens(
        &self,
        text: &str,
        limit: usize,
        tokens: impl Fn(&str, usize) -> Result<Vec<u32>>,
    ) -> Result<Vec<u32>> {
        let (before, behind) = self.around(text)?;
        if behind.is_empty() {
            let name = &self.name;
            return Err(invalid(format!("expected a text behind `{name}`, found none")));
        }
        // What stands behind has a token at least.
        let before = match before {
            "" => Vec::new(),
            before => tokens(before, limit.saturating_sub(2))?,
        };
        let behind = tokens(behind, limit.saturating_sub(before.len() + 1).max(1))?;
        Ok([before, vec![self.token], behind].concat())
    }

    /// What stands in front of the name in a text and behind it, which is all of a text that does not hold it.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a text that holds the name twice.
    pub fn around<'a>(&self, text: &'a str) -> Result<(&'a str, &'a str)> {
        let name = &self.name;
        let parts: Vec<&str> = text.split(name.as_str()).collect();
        match parts[..] {
            [behind] => Ok(("", behind)),
            [before, behind] => Ok((before, behind)),
            _ => {
                let found = parts.len() - 1;
                Err(invalid(format!(
                    "expected `{name}` once in a text, found it {found} times"
                )))
            }
        }
    }

    pub fn token(&self) -> u32 {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each letter is a token.
    fn tokens(text: &str, limit: usize) -> Result<Vec<u32>> {
        let placeholder = Placeholder {
            name: "<image>".into(),
            token: 0,
        };
        placeholder.tokens(text, limit, |part, limit| {
            Ok(part.bytes().take(limit).map(u32::from).collect())
        })
    }

    #[test]
    fn the_token_stands_where_its_name_does_or_in_front() {
        assert_eq!(tokens("ab<image>c", 9).unwrap(), [97, 98, 0, 99]);
        assert_eq!(tokens("<image>c", 9).unwrap(), [0, 99]);
        assert_eq!(tokens("c", 9).unwrap(), [0, 99]);
        assert_eq!(tokens("abc<image>cd", 4).unwrap(), [97, 98, 0, 99]);
        assert_eq!(tokens("abc", 3).unwrap(), [0, 97, 98]);
    }

    #[test]
    fn a_text_with_two_or_nothing_behind_is_refused() {
        for (text, words) in [
            ("<image>a<image>", "once in a text, found it 2 times"),
            ("a<image>", "a text behind `<image>`"),
            ("", "a text behind `<image>`"),
        ] {
            let error = tokens(text, 9).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
