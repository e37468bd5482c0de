//! Drawings end to end: sizes, what is never opened, hostile documents.

use super::super::samples::assert_close;
use super::super::{ImageConfig, Picture, Resize, Size};
use crate::testing::{cases, mutate, mutations};
use crate::{ErrorKind, Result};
use proptest::prelude::*;
use std::io::Write;

/// A red square of 2 × 2 in the upper left corner of 4 × 2.
const SQUARE: &str = "<svg xmlns='http://www.w3.org/2000/svg' width='4' height='2'>\
                      <rect width='2' height='2' fill='#f00'/></svg>";

fn config(size: [u32; 2], resize: Resize) -> ImageConfig {
    ImageConfig {
        size: Size::new(size[0], size[1]),
        resize,
        ground: [0, 0, 255],
        ..ImageConfig::default()
    }
}

fn prepare(config: &ImageConfig, bytes: &[u8]) -> Result<Picture> {
    crate::processors::image::prepare_bytes(config, bytes)
}

fn small(text: &str) -> Result<Picture> {
    prepare(&config([8, 8], Resize::Stretch), text.as_bytes())
}

/// The picture in letters: red, green, the blue ground, the grey of a letterbox, or something else.
fn letters(picture: &Picture) -> String {
    let letter = |pixel: &[u8]| match pixel {
        [255, 0, 0] => 'r',
        [0, 255, 0] => 'g',
        [0, 0, 255] => '.',
        [128, 128, 128] => '-',
        _ => '?',
    };
    let line = |line: &[u8]| line.chunks(3).map(letter).collect::<String>();
    picture
        .pixels
        .chunks(3 * picture.width)
        .map(line)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_drawing_is_made_at_the_size_that_is_asked_for() {
    let check = |size, resize, expected: &str| {
        let picture = prepare(&config(size, resize), SQUARE.as_bytes()).unwrap();
        assert_eq!(letters(&picture), expected, "{size:?}, {resize:?}");
    };
    check([2, 2], Resize::Stretch, "r. r.");
    check([2, 4], Resize::Stretch, "rr.. rr..");
    check([4, 4], Resize::Crop, "rr.. rr.. rr.. rr..");
    check([4, 4], Resize::Letterbox, "---- rr.. rr.. ----");
    check([2, 2], Resize::Shortest(4), "r. r.");
    check([4, 8], Resize::Crop, "rrrr.... rrrr.... rrrr.... rrrr....");
}

#[test]
fn compressed_drawings_are_the_same() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(SQUARE.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let config = config([4, 4], Resize::Crop);
    let found = prepare(&config, &packed).unwrap();
    assert_close(&found, &prepare(&config, SQUARE.as_bytes()).unwrap(), 0, "compressed");
    let cut = prepare(&config, &packed[..packed.len() - 1]).unwrap_err();
    assert_eq!(cut.kind, ErrorKind::Damaged, "{cut}");
}

#[test]
fn at_its_own_size_a_drawing_is_bounded() {
    let check = |size: &str, expected: (usize, usize)| {
        let text = format!("<svg xmlns='http://www.w3.org/2000/svg' {size}/>");
        let picture = crate::processors::image::decode_whole(text.as_bytes()).unwrap();
        assert_eq!((picture.height, picture.width), expected, "{size}");
    };
    check("width='40' height='20.4'", (20, 40));
    check("width='10000000' height='5000000'", (512, 1024));
    check("viewBox='0 0 3 4096'", (1024, 1));
}

#[test]
fn nothing_outside_of_the_document_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let green = Picture {
        height: 1,
        width: 1,
        pixels: vec![0, 255, 0],
    };
    let path = folder.path().join("green.png");
    std::fs::write(&path, green.to_png()).unwrap();
    let image = |href: &str| {
        let text = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>\
             <image width='8' height='8' image-rendering='optimizeSpeed' href='{href}'/></svg>"
        );
        letters(&small(&text).unwrap()).contains('g')
    };
    assert!(!image(path.to_str().unwrap()));
    assert!(!image(&format!("file://{}", path.display())));
    assert!(!image("http://127.0.0.1:9/green.png"));
    let inside = format!("data:image/png;base64,{GREEN}");
    assert!(image(&inside));
    let nested = "data:image/svg+xml;utf8,<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    assert!(!image(&nested.replace('<', "&lt;")));
}
const GREEN: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNg+M8AAAICAQB7CYF4AAAAAElFTkSuQmCC";

fn check_refused(body: &str, kind: ErrorKind, words: &str) {
    let text = format!("<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>{body}</svg>");
    let shown: String = body.chars().take(100).collect();
    let started = std::time::Instant::now();
    let error = small(&text).map(|_| shown.clone()).unwrap_err();
    assert_eq!(error.kind, kind, "{shown}: {error}");
    assert!(error.to_string().contains(words), "{shown}: {error}");
    assert!(started.elapsed().as_secs() < 20, "{shown}");
}

#[test]
fn drawings_that_ask_for_too_much_are_refused() {
    let covering = "<rect width='8' height='8'/>".repeat(10_000);
    check_refused(&covering, ErrorKind::TooLarge, "more work");
    let filter = |primitive: &str| {
        format!(
            "<filter id='f' x='-900%' y='-900%' width='2000%' height='2000%'>{primitive}</filter>\
                 <g filter='url(#f)'><rect width='8' height='8'/></g>"
        )
    };
    check_refused(
        &filter("<feMorphology radius='1e9'/>"),
        ErrorKind::TooLarge,
        "more work",
    );
    check_refused(
        &filter(&"<feGaussianBlur stdDeviation='1e9'/>".repeat(50)),
        ErrorKind::TooLarge,
        "more work",
    );
    let dashes = "<path d='M0 0H1e9' stroke='red' stroke-dasharray='1e-6'/>".repeat(100);
    check_refused(&dashes, ErrorKind::TooLarge, "more work");
    let tile = "<pattern id='p' width='1e6' height='1e6' patternUnits='userSpaceOnUse'><path d='M0 0H8V8'/></pattern>\
                <rect fill='url(#p)' width='8' height='8'/>";
    check_refused(tile, ErrorKind::TooLarge, "more work");
    let deep = "<g>".repeat(20_000) + &"</g>".repeat(20_000);
    check_refused(&deep, ErrorKind::TooLarge, "too deep");
    check_refused(
        "<use href='#a'/><g id='a'><use href='#a'/></g>",
        ErrorKind::Damaged,
        "contains itself",
    );
    check_refused("<g>", ErrorKind::Damaged, "expected");
}

#[test]
fn entities_are_bounded_before_they_are_replaced() {
    let document = |entities: &str, body: &str| {
        small(&format!(
            "<!DOCTYPE svg [{entities}]><svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>{body}</svg>"
        ))
    };
    let red = "<!ENTITY c '#f00'><!ENTITY r \"<rect width='8' height='8' fill='&c;'/>\">";
    assert!(letters(&document(red, "&r;").unwrap()).contains('r'));
    let long = format!("<!ENTITY a '{}'>", "x".repeat(100_000));
    let error = document(&long, &"&a;".repeat(1_000)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    let laughs: String = (1..10)
        .map(|it| format!("<!ENTITY a{it} '{}'>", format!("&a{};", it - 1).repeat(10)))
        .collect();
    assert!(document(&format!("<!ENTITY a0 'ha'>{laughs}"), "<desc>&a9;</desc>").is_err());
}

#[test]
fn the_deepest_document_that_is_taken_does_not_overflow_the_stack() {
    for (open, close) in [
        ("<g opacity='0.5'>", "</g>"),
        ("<svg>", "</svg>"),
        ("<g transform='scale(1)'><switch>", "</switch></g>"),
    ] {
        let levels = 190 / open.matches('<').count();
        let inner = "<rect width='8' height='8'/>";
        let text = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>{}{inner}{}</svg>",
            open.repeat(levels),
            close.repeat(levels)
        );
        // Too much work is an answer too; only the process must go on.
        let _ = small(&text);
    }
    for (name, attribute) in [("mask", "mask"), ("clipPath", "clip-path"), ("pattern", "fill")] {
        let level = |it: usize| {
            format!(
                "<{name} id='n{it}' width='1' height='1'><path d='M0 0H8V8' {attribute}='url(#n{})'/></{name}>",
                it + 1
            )
        };
        let levels: String = (0..90).map(level).collect();
        let text = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>{levels}<path d='M0 0H8V8' {attribute}='url(#n0)'/></svg>"
        );
        let _ = small(&text);
    }
}

const RICH: &str = "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY c '#0f0'>]>\
    <svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' viewBox='0 0 40 40'>\
    <style>.a{fill:url(#g);mask:url(#m)} path{stroke:&c;stroke-dasharray:1 2;marker-mid:url(#k)}</style>\
    <defs><linearGradient id='g'><stop stop-color='red'/><stop offset='1'/></linearGradient>\
    <mask id='m'><rect width='20' height='40' fill='white'/></mask><marker id='k'><circle r='2'/></marker>\
    <pattern id='p' width='9' height='9' patternUnits='userSpaceOnUse'><rect width='5' height='5'/></pattern>\
    <clipPath id='c'><circle cx='20' cy='20' r='15'/></clipPath>\
    <filter id='f'><feGaussianBlur stdDeviation='2'/><feOffset dx='1'/></filter></defs>\
    <g clip-path='url(#c)' opacity='.5'><rect class='a' width='40' height='40'/>\
    <path id='l' d='M2,2 C 9 9 1 1 30 30 A5 5 0 0 1 9 9z' fill='url(#p)'/></g>\
    <use xlink:href='#l' transform='rotate(30) scale(.5)' filter='url(#f)'/></svg>";

#[test]
fn the_sample_of_the_property_test_is_drawn() {
    assert!(small(RICH).unwrap().pixels.chunks(3).any(|pixel| pixel != [0, 0, 255]));
}

proptest! {
    #![proptest_config(cases(1_000))]
    #[test]
    fn any_bytes_give_a_drawing_or_an_error(mutations in mutations()) {
        match prepare(&config([8, 8], Resize::Stretch), &mutate(RICH.as_bytes().to_vec(), &mutations)) {
            Ok(picture) => prop_assert_eq!(picture.pixels.len(), 8 * 8 * 3),
            Err(error) => prop_assert!(error.message.contains("expected"), "{}", error),
        }
    }
}
