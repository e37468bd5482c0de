//! What the HTML pages share: one file that needs nothing beside it, in light and in dark.
//!
//! Rust computes geometry and texts; all markup is in templates, whose escaping is on, so that no
//! label, text or name can break out of its place. The pages work without JavaScript.

pub mod format;
pub mod picture;
pub mod scale;
#[cfg(test)]
pub mod testing;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// The styles of every page, which a template includes by name.
const STYLES: [(&str, &str); 2] = [
    ("page.css", include_str!("page.css")),
    ("figures.css", include_str!("figures.css")),
];

/// Renders the first of `templates`, each a name with its source; the others are what it includes. The
/// names decide the escaping: `.html` is escaped, the rest holds no values. The same values give
/// the same bytes.
///
/// # Panics
/// When a template does not parse or names a value that `page` does not have, as tests show.
pub fn render(templates: &[(&'static str, &'static str)], page: impl Serialize) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the default ones"));
    for (name, source) in templates.iter().chain(&STYLES) {
        environment
            .add_template(name, source)
            .expect("the embedded templates parse: a test does");
    }
    let template = environment.get_template(templates[0].0).expect("added just above");
    template
        .render(Serde(page))
        .expect("the template names only fields of its page: tests render them all")
}
