//! What the tests of pages share: markup that is closed, and texts that are there or are not.

/// A label that would run as a script if it were not escaped.
pub const HOSTILE: &str = "<script>alert('x')</script>\"&";

/// What a page that escapes [`HOSTILE`] does not contain.
pub const BREAKOUTS: [&str; 5] = ["<script>alert", "alert('x')", "\"&\"", "}}", "{%"];

/// Texts of numbers that are not finite, and references to anything outside of the page.
const NEVER: [&str; 8] = [
    "NaN",
    "Infinity",
    ">inf",
    "\"inf",
    "src=\"http",
    "href=\"http",
    "@import",
    "url(h",
];

/// Every element that was opened is closed, in order.
fn assert_balanced(html: &str) {
    const VOID: [&str; 6] = ["meta", "br", "!doctype", "link", "col", "img"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').expect("a tag ends");
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "before {after:.80}");
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = after;
        // Scripts and styles hold text in which `<` opens nothing.
        if ["script", "style"].contains(&name) && !tag.starts_with('/') {
            rest = &rest[rest.find("</").expect("a script ends")..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// The page is well formed, needs nothing beside it, and holds the texts that it should.
pub fn check_page(html: &str, present: &[&str], absent: &[&str]) {
    assert_balanced(html);
    for text in present {
        assert!(html.contains(text), "missing: {text}");
    }
    for text in absent.iter().chain(&NEVER) {
        assert!(!html.contains(text), "present: {text}");
    }
}
