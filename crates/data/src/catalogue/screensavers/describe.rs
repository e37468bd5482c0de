//! The descriptions that come with the programs of xscreensaver.

/// The first paragraph of the description in a program's configuration file (XML) on one line,
/// without the names of the authors and without addresses; absent where there is none.
pub(super) fn description(xml: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(xml) {
        Ok(text) => text.to_string(),
        // Else the files are in Latin-1, of which each byte is a character.
        Err(_) => xml.iter().map(|byte| char::from(*byte)).collect(),
    };
    let (_, text) = text.split_once("<_description>")?;
    let (text, _) = text.split_once("</_description>")?;
    let text = text.replace("\r\n", "\n");
    let mut paragraphs = text.split("\n\n").map(plain);
    paragraphs.find(|paragraph| !paragraph.is_empty())
}

/// The words of a paragraph up to those that name its authors.
fn plain(paragraph: &str) -> String {
    let words = paragraph.split_whitespace().filter(|word| !word.contains("://"));
    let text = words.collect::<Vec<_>>().join(" ");
    let text = text.split("Written by").next().unwrap_or_default().trim();
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_string(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(xml: &[u8], expected: Option<&str>) {
        assert_eq!(description(xml).as_deref(), expected);
    }

    #[test]
    fn the_first_paragraph_is_taken_without_authors_and_addresses() {
        check(
            b"<screensaver>\n<_description>\nMosaic patterns\n of &lt;tiles&gt; &amp;amp; more.\n\nWritten by A; 2004.\n</_description>",
            Some("Mosaic patterns of <tiles> &amp; more."),
        );
        check(
            b"<_description>\n\nhttp://a.b/c\n \n\nBalls. Written by B.\n\nMore.</_description>",
            Some("Balls."),
        );
        check(b"<_description>M\xf6bius</_description>", Some("M\u{f6}bius"));
        check(
            "<_description>M\u{f6}bius</_description>".as_bytes(),
            Some("M\u{f6}bius"),
        );
        check(b"<_description>\n\nWritten by C.</_description>", None);
        check(b"<_description>unfinished", None);
        check(b"", None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let xml = [&b"<_description>"[..], &bytes, b"</_description>"].concat();
            let _ = description(&xml);
        }
    }
}
