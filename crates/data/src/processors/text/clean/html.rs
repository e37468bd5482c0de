//! The text of an HTML page: what a reader sees of it, without its markup.
//!
//! Follows the tokenizer of the HTML standard (section 13.2.5) as far as text depends on it. Reads every byte once: what
//! is opened and never closed ends the text.

use std::borrow::Cow;

/// Elements that begin and end lines, so that the words beside their tags do not touch.
const BLOCKS: [&str; 57] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "button",
    "caption",
    "center",
    "col",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "iframe",
    "legend",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "search",
    "section",
    "select",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Elements whose content is program text.
const PROGRAMS: [&str; 2] = ["script", "style"];
/// The character references that pages write without a semicolon.
const BARE: [&str; 9] = ["amp", "AMP", "lt", "LT", "gt", "GT", "quot", "nbsp", "copy"];
/// The longest name is `CounterClockwiseContourIntegral`.
const LONGEST_NAME: usize = 32;
/// What the references 128 to 159 mean: the characters that Windows-1252 has there.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Takes tags, comments, scripts and styles out, sets a space for the tags of blocks, and decodes character references.
pub fn text(html: &str) -> Cow<'_, str> {
    if !html.contains(['<', '&']) {
        return Cow::Borrowed(html);
    }
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = match rest.as_bytes()[at] {
            b'<' => markup(&rest[at..], &mut text),
            _ => reference(&rest[at..], &mut text),
        };
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// What follows the markup at the start of `rest`; a `<` that opens nothing is text.
fn markup<'a>(rest: &'a str, text: &mut String) -> &'a str {
    let letter = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_alphabetic);
    if let Some(comment) = rest.strip_prefix("<!--") {
        return behind_comment(comment);
    }
    if rest.starts_with("<!") || rest.starts_with("<?") || (rest.starts_with("</") && rest.len() > 2 && !letter(2)) {
        return behind(rest, ">");
    }
    match (letter(1), rest.starts_with("</")) {
        (true, _) => tag(&rest[1..], true, text),
        (false, true) if letter(2) => tag(&rest[2..], false, text),
        _ => {
            text.push('<');
            &rest[1..]
        }
    }
}

fn behind<'a>(rest: &'a str, end: &str) -> &'a str {
    rest.find(end).map_or("", |at| &rest[at + end.len()..])
}

/// `<!-->` and `<!--->` are comments too.
fn behind_comment(rest: &str) -> &str {
    let short = rest.strip_prefix('>').or(rest.strip_prefix("->"));
    short.unwrap_or_else(|| behind(rest, "-->"))
}

/// What follows the tag whose name `rest` begins with.
fn tag<'a>(rest: &'a str, opens: bool, text: &mut String) -> &'a str {
    let end = rest.find(|it: char| it.is_ascii_whitespace() || it == '/' || it == '>');
    let (name, attributes) = rest.split_at(end.unwrap_or(rest.len()));
    // No element that matters has a longer name, and a copy of a longer one would only cost time.
    let name = name.get(..name.len().min(16)).unwrap_or("").to_ascii_lowercase();
    if BLOCKS.contains(&name.as_str()) {
        text.push(' ');
    }
    let rest = behind_attributes(attributes);
    match opens && PROGRAMS.contains(&name.as_str()) {
        true => behind_program(rest, &name),
        false => rest,
    }
}

/// A `>` inside of a quoted value does not end a tag.
fn behind_attributes(mut rest: &str) -> &str {
    let mut after_equals = false;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '>' => return rest,
            '"' | '\'' if after_equals => rest = rest.find(character).map_or("", |at| &rest[at + 1..]),
            _ => {}
        }
        after_equals = character == '=' || (after_equals && character.is_ascii_whitespace());
    }
    ""
}

/// What follows the end tag of a script or a style.
fn behind_program<'a>(mut rest: &'a str, name: &str) -> &'a str {
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        let same = rest.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
        let ends = rest.as_bytes().get(name.len());
        if same && ends.is_none_or(|it| it.is_ascii_whitespace() || *it == b'/' || *it == b'>') {
            return behind_attributes(&rest[name.len()..]);
        }
    }
    ""
}

/// Decodes the character reference at the start of `rest`, and gives what follows; an `&` that begins none is text.
fn reference<'a>(rest: &'a str, text: &mut String) -> &'a str {
    let body = &rest[1..];
    let decoded = match body.strip_prefix('#') {
        Some(digits) => number(digits).map(|(character, behind)| {
            text.push(character);
            behind
        }),
        None => named(body).map(|(characters, behind)| {
            text.push_str(characters);
            behind
        }),
    };
    decoded.unwrap_or_else(|| {
        text.push('&');
        body
    })
}

fn number(digits: &str) -> Option<(char, &str)> {
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let end = digits.find(|it: char| !it.is_digit(radix)).unwrap_or(digits.len());
    let (digits, behind) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let add = |code: u32, digit: char| {
        let digit = digit.to_digit(radix).unwrap_or(0);
        code.saturating_mul(radix).saturating_add(digit)
    };
    let character = match digits.chars().fold(0, add) {
        0 => char::REPLACEMENT_CHARACTER,
        code @ 128..160 => WINDOWS_1252[code as usize - 128],
        code => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Some((character, behind.strip_prefix(';').unwrap_or(behind)))
}

fn named(body: &str) -> Option<(&'static str, &str)> {
    let name = body.bytes().take(LONGEST_NAME).take_while(u8::is_ascii_alphanumeric);
    let (name, behind) = body.split_at(name.count());
    if let Some(behind) = behind.strip_prefix(';') {
        return character(name).map(|characters| (characters, behind));
    }
    let name = BARE.into_iter().find(|bare| body.starts_with(bare))?;
    character(name).map(|characters| (characters, &body[name.len()..]))
}

fn character(name: &str) -> Option<&'static str> {
    let table = &html_escape::NAMED_ENTITIES;
    let at = table.binary_search_by_key(&name.as_bytes(), |(name, _)| name).ok()?;
    Some(table[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(text(html), expected, "{html:?}");
    }

    #[test]
    fn tags_go_and_those_of_blocks_leave_a_space() {
        check("plain text", "plain text");
        check("<b>bo</b>ld <i class='x>y'>it</i>", "bold it");
        check("<p>one</p><p>two<br/>three</p>", " one  two three ");
        check("<td>1</td><TD colspan=2>2</TD>", " 1  2 ");
        check("<a href=\"a>b\" title = 'c>d'>link</a>", "link");
        check("1 < 2 <3 </ 4> <", "1 < 2 <3 </ 4> <".replace("</ 4>", "").as_str());
        check("it's <a b'c>fine</a>", "it's fine");
    }

    #[test]
    fn what_is_no_text_goes_with_its_content() {
        check("a<!-- <p> & -- > -->b<!-->c<!--->d<!DOCTYPE html>e<?xml?>f", "abcdef");
        check(
            "a<script src='>'>if (1 < 2) '</p>'</script >b<STYLE>p{}</style>c",
            "abc",
        );
        check("a<script>x</scripted>y</script/>b", "ab");
        check("a<script/>b", "a");
        check("a<title>b</title><textarea>c</textarea>", "a b c");
    }

    #[test]
    fn what_is_never_closed_ends_the_text() {
        for html in ["a<!-- b", "a<b c", "a<b c='>", "a<script>b", "a<!b", "a</b"] {
            check(html, "a");
        }
    }

    #[test]
    fn character_references_are_decoded_once() {
        check("&lt;b&gt; &amp;lt; &copy;&eacute;&NotEqualTilde;", "<b> &lt; ©é≂̸");
        check(
            "&#65;&#x42;&#X43 &#0;&#128;&#xD800;&#9999999999999;",
            "ABC \u{fffd}€\u{fffd}\u{fffd}",
        );
        check("AT&T & &; &#; &#x; &nope; &amp", "AT&T & &; &#; &#x; &nope; &");
        check("a&nbspb&ltc", "a\u{a0}b<c");
        check("&CounterClockwiseContourIntegral;", "∳");
    }

    #[test]
    fn hostile_pages_are_read_in_one_pass() {
        for unit in [
            "<", "<a ", "<!--", "<a b='", "&", "&#", "&#x", "<script>", "</", "<a/", "&amp", "<!",
        ] {
            text(&unit.repeat(400_000));
        }
        text(&format!("&#{};", "9".repeat(1 << 20)));
        text(&format!("<script>{}", "</scrip".repeat(1 << 18)));
    }

    proptest! {
        #![proptest_config(crate::testing::cases(2000))]
        #[test]
        fn any_page_gives_text(html in "([<>&;#/!'\"= -]|<p>|<b |</|<!--|-->|script|style|&amp;|&#x?[0-9a-f]{1,9}|.){0,40}") {
            let text = text(&html);
            assert!(text.len() <= 2 * html.len());
        }

        #[test]
        fn escaped_text_comes_back(plain in ".{0,60}") {
            let escaped = plain.replace('&', "&amp;").replace('<', "&lt;");
            assert_eq!(text(&format!("<i>{escaped}</i>")), plain);
        }
    }
}
