//! Outputs that have nothing to do with each other.

use std::collections::BTreeSet;

/// Outputs that share encoders, directly or by way of others.
pub type Part = BTreeSet<String>;

/// The parts of `outputs`, each of which comes with the inputs that it reads; in the order of their first outputs.
pub(crate) fn parts(outputs: impl Iterator<Item = (String, BTreeSet<String>)>) -> Vec<Part> {
    let mut found: Vec<(Part, BTreeSet<String>)> = Vec::new();
    for (output, mut inputs) in outputs {
        let mut part = Part::from([output]);
        let (joined, apart): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, read)| !read.is_disjoint(&inputs));
        for (others, read) in joined {
            part.extend(others);
            inputs.extend(read);
        }
        found = apart;
        found.push((part, inputs));
    }
    let mut parts: Vec<Part> = found.into_iter().map(|(part, _)| part).collect();
    parts.sort();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn outputs_are_parted_where_no_input_joins_them() {
        let check = |outputs: &[(&str, &str)], expected: &[&str]| {
            let outputs = outputs.iter().map(|(name, inputs)| (name.to_string(), set(inputs)));
            assert_eq!(
                parts(outputs),
                expected.iter().map(|part| set(part)).collect::<Vec<_>>()
            );
        };
        check(&[], &[]);
        check(&[("a", "image"), ("b", "text"), ("c", "image")], &["a c", "b"]);
        // The last one joins what had been apart.
        check(
            &[("a", "image"), ("b", "text"), ("c", "sound"), ("d", "text image")],
            &["a b d", "c"],
        );
    }
}
