//! The calls in a Lua script whose arguments are all strings; the rest of the language is passed over.

use crate::{DataError, ErrorKind, Result};

/// A call such as `dialogStr("Ahoj")`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub name: String,
    pub arguments: Vec<String>,
}

/// A lexical unit (Lua 5.1 reference manual, section 2.1).
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    /// Punctuation, and the letters of numbers.
    Other(u8),
}

/// Reads a script. Nothing is run.
///
/// Fails with `Damaged` for a string or comment without an end, or text that is not UTF-8.
pub(super) fn calls(script: &[u8]) -> Result<Vec<Call>> {
    let tokens = Lexer { bytes: script, at: 0 }.tokens()?;
    let found = (0..tokens.len()).filter_map(|start| call(&tokens[start..]));
    Ok(found.collect())
}

/// A name, an opening bracket, strings with commas between them, a closing bracket.
fn call(tokens: &[Token]) -> Option<Call> {
    let (Token::Name(name), Token::Other(b'(')) = (tokens.first()?, tokens.get(1)?) else {
        return None;
    };
    let mut arguments = Vec::new();
    for pair in tokens[2..].chunks(2) {
        let (Token::Text(text), Token::Other(end)) = (pair.first()?, pair.get(1)?) else {
            return None;
        };
        arguments.push(text.clone());
        match end {
            b',' => {}
            b')' => {
                return Some(Call {
                    name: name.clone(),
                    arguments,
                });
            }
            _ => return None,
        }
    }
    None
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn tokens(mut self) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        while let Some(byte) = self.peek(0) {
            match byte {
                _ if byte.is_ascii_whitespace() => self.at += 1,
                b'-' if self.peek(1) == Some(b'-') => self.comment()?,
                b'"' | b'\'' => tokens.push(Token::Text(self.quoted(byte)?)),
                b'[' if self.level().is_some() => tokens.push(Token::Text(self.long()?)),
                _ if is_name(byte) => tokens.push(Token::Name(self.name())),
                _ => {
                    tokens.push(Token::Other(byte));
                    self.at += 1;
                }
            }
        }
        Ok(tokens)
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn name(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(is_name) {
            self.at += 1;
        }
        self.bytes[start..self.at]
            .iter()
            .map(|byte| char::from(*byte))
            .collect()
    }

    fn comment(&mut self) -> Result<()> {
        self.at += 2;
        if self.level().is_some() {
            return self.long().map(|_| ());
        }
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
        Ok(())
    }

    /// The number of equals signs where a long bracket such as `[==[` opens here.
    fn level(&self) -> Option<usize> {
        let rest = self.bytes.get(self.at..)?.strip_prefix(b"[")?;
        let level = rest.iter().take_while(|byte| **byte == b'=').count();
        (rest.get(level) == Some(&b'[')).then_some(level)
    }

    /// A long bracket, whose text has no escapes and loses a first line break.
    fn long(&mut self) -> Result<String> {
        let open = self.at;
        let level = self.level().unwrap_or_default();
        let start = open + level + 2;
        let close = format!("]{}]", "=".repeat(level));
        let rest = &self.bytes[start..];
        let Some(length) = rest.windows(close.len()).position(|part| part == close.as_bytes()) else {
            return Err(unended(open));
        };
        self.at = start + length + close.len();
        let text = text(rest[..length].to_vec(), open)?;
        let text = text.strip_prefix('\r').unwrap_or(&text);
        Ok(text.strip_prefix('\n').unwrap_or(text).to_string())
    }

    fn quoted(&mut self, quote: u8) -> Result<String> {
        let open = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek(0).ok_or_else(|| unended(open))?;
            self.at += 1;
            match byte {
                b'\\' => bytes.push(self.escape(open)?),
                b'\n' => return Err(unended(open)),
                _ if byte == quote => return text(bytes, open),
                _ => bytes.push(byte),
            }
        }
    }

    /// What follows a backslash: a letter, up to three decimal digits, or the character itself.
    fn escape(&mut self, open: usize) -> Result<u8> {
        let byte = self.peek(0).ok_or_else(|| unended(open))?;
        if byte.is_ascii_digit() {
            let digits = self.bytes[self.at..]
                .iter()
                .take(3)
                .take_while(|byte| byte.is_ascii_digit());
            let digits: Vec<u8> = digits.copied().collect();
            self.at += digits.len();
            let value = digits
                .iter()
                .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
            return u8::try_from(value)
                .map_err(|_| damaged(format!("expected an escape up to \\255, found \\{value}"), open));
        }
        self.at += 1;
        Ok(match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        })
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn text(bytes: Vec<u8>, open: usize) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| damaged(format!("expected UTF-8 text, found: {error}"), open))
}

fn unended(open: usize) -> DataError {
    damaged("expected the end of a string or comment, found none".to_string(), open)
}

fn damaged(message: String, offset: usize) -> DataError {
    DataError::new(ErrorKind::Damaged, message).at_offset(offset as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(script: &str, expected: &[(&str, &[&str])]) {
        let found = calls(script.as_bytes()).unwrap();
        let expected = expected.iter().map(|(name, arguments)| Call {
            name: name.to_string(),
            arguments: arguments.iter().map(|argument| argument.to_string()).collect(),
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{script}");
    }

    #[test]
    fn calls_with_strings_are_found_and_others_passed_over() {
        check("id(\"a\", 'b',\n[[c]] )", &[("id", &["a", "b", "c"])]);
        check("f(1) g(x) h() i(\"a\" .. \"b\") j(\"a\",) k(\"z\")", &[("k", &["z"])]);
        check("if random(4) == 0 then say(\"a\") end", &[("say", &["a"])]);
        check("t[1] = f(g(\"a\"))", &[("g", &["a"])]);
        check("f(\"a\"", &[]);
    }

    #[test]
    fn strings_are_read_with_their_escapes() {
        check(r#"f("a\"b\\c\nd\65\9x\/")"#, &[("f", &["a\"b\\c\ndA\tx/"])]);
        check("f(\"je\\\nto\")", &[("f", &["je\nto"])]);
        check("f('\"') f([==[\n]]a\\n]==])", &[("f", &["\""]), ("f", &["]]a\\n"])]);
        check("f(\"\\197\\153\")", &[("f", &["ř"])]);
    }

    #[test]
    fn comments_hold_no_calls() {
        check(
            "-- f(\"a\")\ng(\"b\") --[[ f(\"c\")\n]] h(\"d\")",
            &[("g", &["b"]), ("h", &["d"])],
        );
    }

    #[test]
    fn what_has_no_end_is_damaged() {
        for script in [
            "f(\"a",
            "f(\"a\n\")",
            "--[[ a",
            "f([=[a]]",
            "f(\"\\",
            "f(\"\\300\")",
            "f(\"\\255\")",
        ] {
            assert_eq!(
                calls(script.as_bytes()).unwrap_err().kind,
                ErrorKind::Damaged,
                "{script}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = calls(&bytes);
        }

        #[test]
        fn a_written_string_is_read_back(text: String) {
            let quoted: String = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
            let found = calls(format!("f(\"{quoted}\")").as_bytes()).unwrap();
            prop_assert_eq!(&found[0].arguments, &[text]);
        }
    }
}
