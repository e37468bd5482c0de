//! The web page and its assets, built into the program.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const INDEX: &str = include_str!("../page/index.html");

const SCRIPT: &str = "text/javascript; charset=utf-8";

const STYLE: &str = "text/css; charset=utf-8";

/// The assets: name, media type, content.
const ASSETS: [(&str, &str, &str); 15] = [
    ("page.js", SCRIPT, include_str!("../page/page.js")),
    ("api.js", SCRIPT, include_str!("../page/api.js")),
    ("answer.js", SCRIPT, include_str!("../page/answer.js")),
    ("values.js", SCRIPT, include_str!("../page/values.js")),
    ("talk.js", SCRIPT, include_str!("../page/talk.js")),
    ("elements.js", SCRIPT, include_str!("../page/elements.js")),
    ("media.js", SCRIPT, include_str!("../page/media.js")),
    ("devices.js", SCRIPT, include_str!("../page/devices.js")),
    ("camera.js", SCRIPT, include_str!("../page/camera.js")),
    ("microphone.js", SCRIPT, include_str!("../page/microphone.js")),
    ("recorder.js", SCRIPT, include_str!("../page/recorder.js")),
    ("style.css", STYLE, include_str!("../page/style.css")),
    ("capture.css", STYLE, include_str!("../page/capture.css")),
    ("answer.css", STYLE, include_str!("../page/answer.css")),
    ("icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
];

/// The page itself.
pub(crate) fn index() -> Response {
    file("text/html; charset=utf-8", INDEX)
}

/// The asset of this name, if there is one.
pub(crate) fn asset(name: &str) -> Option<Response> {
    let (_, media_type, content) = ASSETS.iter().find(|(asset, _, _)| *asset == name)?;
    Some(file(media_type, content))
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    (
        [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")],
        text,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_that_the_page_names_is_served() {
        let texts = || ASSETS.iter().map(|(_, _, text)| *text).chain([INDEX]);
        let named = texts()
            .flat_map(|text| text.split('"'))
            .filter_map(|value| value.strip_prefix("/assets/").or(value.strip_prefix("./")));
        let named: std::collections::BTreeSet<&str> = named.collect();
        assert_eq!(named.len(), ASSETS.len(), "{named:?}");
        for name in named {
            assert!(asset(name).is_some(), "{name} is named but not served");
        }
        assert!(asset("../Cargo.toml").is_none());
    }

    #[test]
    fn the_page_names_no_other_server() {
        for (name, _, text) in ASSETS.iter().chain([&("index.html", "", INDEX)]) {
            let foreign = text.replace("http://www.w3.org/", "");
            assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{name}");
        }
    }
}
