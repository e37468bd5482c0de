//! How large a document becomes when everything it refers to is written out in place: a few lines that refer to each
//! other can stand for more elements than any memory holds.

use roxmltree::{Document, Node};
use simplecss::{AttributeOperator, Element, PseudoClass, StyleSheet};
use std::collections::HashMap;

/// Bytes of a document that is written out.
const MAX_LENGTH: u64 = 64 << 20;
/// Elements inside of each other, references followed: each takes a part of the stack.
const MAX_DEPTH: u32 = 200;
/// Comparisons of an element with a rule of a style sheet.
const MAX_MATCHES: usize = 20_000_000;
/// What an element takes beside its attributes, in bytes.
const ELEMENT: u64 = 64;
/// Elements whose `href` is followed.
const FOLLOWING: [&str; 6] = [
    "use",
    "linearGradient",
    "radialGradient",
    "pattern",
    "filter",
    "feImage",
];

/// What is too much about a document, or wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    TooLong,
    TooDeep,
    TooManyRules,
    /// An element that contains itself by a reference.
    Circle,
}

/// Refuses a document that is beyond the bounds.
pub fn check(document: &Document) -> Result<(), Fault> {
    let rules = rules(document);
    let elements = document.descendants().filter(Node::is_element);
    if elements.clone().count().saturating_mul(rules.rules.len()) > MAX_MATCHES {
        return Err(Fault::TooManyRules);
    }
    let ids = elements.filter_map(|node| Some((node.attribute("id")?, node)));
    let mut walk = Walk {
        // The first of several elements with one name counts, and is the last to be entered.
        targets: ids.collect::<Vec<_>>().into_iter().rev().collect(),
        rules,
        known: HashMap::new(),
        marker: 0,
    };
    // Markers stand at every corner of a line, so their extent must be known first.
    for marker in document
        .descendants()
        .filter(|node| node.has_tag_name("marker") || node.tag_name().name() == "marker")
    {
        walk.marker = walk.marker.max(walk.extent(marker, 0)?.length);
    }
    if walk.marker > 0 {
        walk.known.clear();
    }
    match walk.extent(document.root_element(), 0)?.length > MAX_LENGTH {
        true => Err(Fault::TooLong),
        false => Ok(()),
    }
}

/// The rules of all style sheets, as usvg reads them.
fn rules<'a>(document: &'a Document) -> StyleSheet<'a> {
    let mut sheet = StyleSheet::new();
    let styles = document.descendants().filter(|node| node.tag_name().name() == "style");
    styles
        .filter_map(|style| style.text())
        .for_each(|text| sheet.parse_more(text));
    sheet
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    length: u64,
    depth: u32,
}

struct Walk<'a, 'input> {
    targets: HashMap<&'a str, Node<'a, 'input>>,
    rules: StyleSheet<'a>,
    /// By element; nothing while it is being measured.
    known: HashMap<Node<'a, 'input>, Option<Extent>>,
    /// The length of the longest marker.
    marker: u64,
}

impl<'a, 'input> Walk<'a, 'input> {
    /// The extent of an element that stands `above` levels deep.
    fn extent(&mut self, node: Node<'a, 'input>, above: u32) -> Result<Extent, Fault> {
        match self.known.get(&node) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Err(Fault::Circle),
            None => {}
        }
        // Looked at on the way down too, because this walk takes stack itself.
        if above > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.known.insert(node, None);
        let mut extent = Extent {
            length: self.own(node),
            depth: 1,
        };
        let parts: Vec<_> = node
            .children()
            .filter(Node::is_element)
            .chain(self.references(node))
            .collect();
        for part in parts {
            let part = self.extent(part, above + 1)?;
            extent.length = extent.length.saturating_add(part.length);
            extent.depth = extent.depth.max(1 + part.depth);
        }
        if extent.depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.known.insert(node, Some(extent));
        Ok(extent)
    }

    /// The length of an element without its parts; of a line with markers at all corners.
    fn own(&self, node: Node) -> u64 {
        let attributes = node.attributes().map(|it| it.name().len() + it.value().len());
        let line = node.attribute("d").or(node.attribute("points")).unwrap_or_default();
        // No two corners without a letter, a sign or a space between them.
        let corners = line.bytes().filter(|byte| !byte.is_ascii_digit()).count() as u64;
        let markers = corners.saturating_mul(self.marker);
        ELEMENT
            .saturating_add(attributes.sum::<usize>() as u64)
            .saturating_add(markers)
    }

    /// What an element refers to by its attributes and by the rules that apply to it.
    fn references(&self, node: Node<'a, 'input>) -> Vec<Node<'a, 'input>> {
        let mut names = Vec::new();
        for attribute in node.attributes() {
            match attribute.name() {
                "href" if FOLLOWING.contains(&node.tag_name().name()) => {
                    names.extend(attribute.value().trim().strip_prefix('#'));
                }
                _ => names.extend(links(attribute.value())),
            }
        }
        let applying = self
            .rules
            .rules
            .iter()
            .filter(|rule| rule.selector.matches(&Styled(node)));
        names.extend(applying.flat_map(|rule| rule.declarations.iter().flat_map(|it| links(it.value))));
        names
            .into_iter()
            .filter_map(|name| self.targets.get(name).copied())
            .collect()
    }
}

/// The names in every `url(#name)`, quoted or not.
fn links(value: &str) -> impl Iterator<Item = &str> {
    value.split("url(").skip(1).filter_map(|rest| {
        let inside = rest.split(')').next()?;
        inside.trim().trim_matches(['"', '\'']).trim().strip_prefix('#')
    })
}

/// An element as the rules of style sheets see it.
struct Styled<'a, 'input>(Node<'a, 'input>);

impl Element for Styled<'_, '_> {
    fn parent_element(&self) -> Option<Self> {
        self.0.parent_element().map(Styled)
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.0.prev_sibling_element().map(Styled)
    }

    fn has_local_name(&self, name: &str) -> bool {
        self.0.tag_name().name() == name
    }

    fn attribute_matches(&self, name: &str, operator: AttributeOperator) -> bool {
        self.0.attribute(name).is_some_and(|value| operator.matches(value))
    }

    fn pseudo_class_matches(&self, class: PseudoClass) -> bool {
        matches!(class, PseudoClass::FirstChild) && self.prev_sibling_element().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(), Fault>) {
        let text =
            format!("<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink'>{body}</svg>");
        let document = Document::parse(&text).unwrap();
        let shown: String = body.chars().take(200).collect();
        assert_eq!(super::check(&document), expected, "{shown}");
    }

    /// Groups that each refer twice to the one before.
    fn doubling(levels: usize, reference: impl Fn(usize) -> String) -> String {
        let level = |level: usize| format!("<g id='g{level}'>{0}{0}</g>", reference(level));
        (1..=levels).map(level).collect()
    }

    #[test]
    fn references_that_double_are_counted_as_often_as_they_are_drawn() {
        let used = |level: usize| format!("<use x:href='#g{}'/>", level - 1);
        check(&doubling(10, used), Ok(()));
        check(&doubling(40, used), Err(Fault::TooLong));
        let masked = |level: usize| format!("<path mask=' url( \"#g{}\" )'/>", level - 1);
        check(&doubling(40, masked), Err(Fault::TooLong));
        let styled = |level: usize| format!("<path class='c{}'/>", level - 1);
        let rules: String = (0..40)
            .map(|level| format!("/*{{*/.c{level} {{mask:url(#g{level})}}/*}}*/"))
            .collect();
        check(
            &format!("<style>{rules}</style>{}", doubling(40, styled)),
            Err(Fault::TooLong),
        );
        check(&format!("<style>.other {{}}</style>{}", doubling(40, styled)), Ok(()));
    }

    #[test]
    fn markers_stand_at_every_corner() {
        let marker = format!("<marker id='m'>{}</marker>", "<path/>".repeat(300));
        let line = |corners: usize| format!("{marker}<path d='M0 0{}'/>", "h1".repeat(corners));
        check(&line(1_000), Ok(()));
        check(&line(10_000), Err(Fault::TooLong));
    }

    #[test]
    fn depth_is_bounded_through_references_too() {
        let nested = |levels: usize| "<g>".repeat(levels) + &"</g>".repeat(levels);
        check(&nested(150), Ok(()));
        check(&nested(250), Err(Fault::TooDeep));
        let chain = |levels: usize| {
            (1..levels)
                .map(|it| format!("<g id='g{it}'><use href='#g{}'/></g>", it + 1))
                .collect::<String>()
        };
        check(&chain(50), Ok(()));
        check(&chain(5_000), Err(Fault::TooDeep));
    }

    #[test]
    fn circles_are_refused_and_links_to_read_are_not_followed() {
        check("<g id='a'><use href='#a'/></g>", Err(Fault::Circle));
        check(
            "<mask id='a'><path mask='url(#b)'/></mask><mask id='b' style='mask:url(#a)'/>",
            Err(Fault::Circle),
        );
        check("<a id='a' href='#a'><path/></a>", Ok(()));
        check("<path fill='url(#none)'/>", Ok(()));
    }

    #[test]
    fn rules_times_elements_are_bounded() {
        let style = |rules: usize| format!("<style>{}</style>{}", ".a{x:y}".repeat(rules), "<g/>".repeat(10_000));
        check(&style(100), Ok(()));
        check(&style(3_000), Err(Fault::TooManyRules));
    }
}
