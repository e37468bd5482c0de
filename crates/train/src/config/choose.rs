//! Which variant of a union a value means: an enum of any serde representation, or an option.

use serde_json::Value as Json;
use toml::{Table, Value as Toml};

use super::alternatives::{alternatives, conjuncts, external_name, fits_type, same, tags, words};
use super::describe::{forms, found, key_names};
use super::locate::{Part, Step, display, join};
use super::render::Problem;
use super::suggest::nearest;
use super::validate::{Validator, inside};

impl<'a> Validator<'a> {
    /// The one of `variants` that the `value` at `path` means.
    ///
    /// # Errors
    /// What keeps it from meaning one of them.
    pub(super) fn choose(&self, variants: &'a [Json], value: &Toml, path: &[Step]) -> Result<&'a Json, Problem> {
        let all = variants.iter().flat_map(|variant| alternatives(self.root, variant));
        let all: Vec<&'a Json> = all.collect();
        let fits = |variant: &&Json| conjuncts(self.root, variant).iter().all(|part| fits_type(part, value));
        let fitting: Vec<&'a Json> = all.iter().copied().filter(fits).collect();
        match value {
            _ if fitting.is_empty() => Err(self.wrong_type(&all, value, path)),
            Toml::String(_) => self.choose_word(&all, &fitting, value, path),
            Toml::Table(table) => self.choose_table(&all, &fitting, table, path),
            _ => self.choose_best(&fitting, value, path),
        }
    }

    fn choose_word(
        &self,
        all: &[&'a Json],
        fitting: &[&'a Json],
        value: &Toml,
        path: &[Step],
    ) -> Result<&'a Json, Problem> {
        let has_word = |variant: &&&Json| self.words(variant).iter().any(|word| same(word, value));
        let is_free = |variant: &&&Json| self.words(variant).is_empty();
        let chosen = fitting.iter().find(has_word).or(fitting.iter().find(is_free));
        chosen.copied().ok_or_else(|| self.unknown_word(all, value, path))
    }

    fn choose_table(
        &self,
        all: &[&'a Json],
        fitting: &[&'a Json],
        table: &Table,
        path: &[Step],
    ) -> Result<&'a Json, Problem> {
        let tag = fitting
            .iter()
            .find_map(|variant| tags(self.root, variant).first().copied());
        if let Some((tag, _)) = tag.filter(|_| fitting.len() > 1) {
            if let Some(chosen) = self.choose_tagged(fitting, tag, table, path)? {
                return Ok(chosen);
            }
            let untagged = |variant: &&&Json| self.tag_word(variant, tag).is_none();
            let rest: Vec<&Json> = fitting.iter().filter(untagged).copied().collect();
            return self.choose_best(&rest, &Toml::Table(table.clone()), path);
        }
        if fitting
            .iter()
            .all(|variant| external_name(self.root, variant).is_some())
        {
            self.choose_external(all, fitting, table, path)
        } else {
            self.choose_best(fitting, &Toml::Table(table.clone()), path)
        }
    }

    /// The variant whose word for `tag` is in `table`; none if the tag is absent and may be.
    fn choose_tagged(
        &self,
        fitting: &[&'a Json],
        tag: &str,
        table: &Table,
        path: &[Step],
    ) -> Result<Option<&'a Json>, Problem> {
        let words: Vec<&str> = fitting
            .iter()
            .filter_map(|variant| self.tag_word(variant, tag))
            .collect();
        let Some(value) = table.get(tag) else {
            return if words.len() == fitting.len() {
                Err(self.missing_tag(tag, &words, table, path))
            } else {
                Ok(None)
            };
        };
        let means = |variant: &&&Json| {
            self.tag_word(variant, tag)
                .is_some_and(|word| value.as_str() == Some(word))
        };
        let unknown = || {
            let forms = words.iter().map(|word| format!("{word:?}")).collect();
            self.not_accepted(&words, forms, value, &join(path, Step::Key(tag.to_owned())))
        };
        fitting
            .iter()
            .find(means)
            .map(|chosen| Some(*chosen))
            .ok_or_else(unknown)
    }

    fn choose_external(
        &self,
        all: &[&'a Json],
        fitting: &[&'a Json],
        table: &Table,
        path: &[Step],
    ) -> Result<&'a Json, Problem> {
        let name = |variant: &&'a Json| external_name(self.root, variant);
        let named: Vec<&&'a Json> = fitting
            .iter()
            .filter(|variant| name(variant).is_some_and(|name| table.contains_key(name)))
            .collect();
        match (named.as_slice(), table.keys().next()) {
            ([only], _) => Ok(only),
            ([], Some(key)) => {
                let inner = join(path, Step::Key(key.clone()));
                let names: Vec<&str> = fitting.iter().filter_map(name).collect();
                let is_word = |variant: &&&Json| self.words(variant).iter().any(|word| *word == key);
                let mut problem = self.unknown_key(key, &names, &inner);
                if all.iter().any(|variant| is_word(&variant)) {
                    problem.label = format!("`{key}` takes no value; write {key:?}");
                }
                Err(problem)
            }
            _ => {
                let title = format!("expected one variant{}", inside(path));
                let label = format!(
                    "expected exactly one of {}, found {} keys",
                    forms(self.root, fitting).join(", "),
                    table.len()
                );
                Err(self.problem(title, label, path, Part::Value))
            }
        }
    }

    /// The variant that knows most of the keys of `value` and finds nothing wrong with it.
    fn choose_best(&self, fitting: &[&'a Json], value: &Toml, path: &[Step]) -> Result<&'a Json, Problem> {
        if let [only] = fitting {
            return Ok(only);
        }
        let scored = fitting.iter().map(|variant| {
            let clean = self.tried(variant, value, path);
            ((self.familiarity(variant, value), clean), *variant)
        });
        let scored: Vec<_> = scored.collect();
        let best = scored.iter().map(|(score, _)| *score).max().unwrap_or_default();
        let mut winners = scored.iter().filter(|(score, _)| *score == best);
        match (best, winners.next(), winners.next()) {
            // The first of several good ones is the one that serde takes.
            ((_, true), Some((_, variant)), _) => Ok(variant),
            ((1.., false), Some((_, variant)), None) => Ok(variant),
            _ => Err(self.wrong_type(fitting, value, path)),
        }
    }

    /// Whether `variant` finds nothing wrong with `value`, unknown keys aside.
    fn tried(&self, variant: &'a Json, value: &Toml, path: &[Step]) -> bool {
        let mut trial = Validator {
            root: self.root,
            document: self.document,
            lenient_at: Some(path.len()),
            problems: Vec::new(),
        };
        trial.check(variant, value, path);
        trial.problems.is_empty()
    }

    /// How much the keys of `value` look like those of `variant`: two a key, one a near miss.
    fn familiarity(&self, variant: &'a Json, value: &Toml) -> usize {
        let names = key_names(&conjuncts(self.root, variant));
        let score = |key: &String| match nearest(key, names.iter().copied()) {
            Some(_) if names.contains(&key.as_str()) => 2,
            Some(_) => 1,
            None => 0,
        };
        value.as_table().map_or(0, |table| table.keys().map(score).sum())
    }

    /// The first tag of each of `variants`, each once.
    pub(super) fn tags_of(&self, variants: &'a [Json]) -> Vec<&'a str> {
        let all = variants.iter().flat_map(|variant| alternatives(self.root, variant));
        let mut names: Vec<&str> = all
            .filter_map(|variant| tags(self.root, variant).first().map(|(name, _)| *name))
            .collect();
        names.dedup();
        names
    }

    fn words(&self, variant: &'a Json) -> Vec<&'a Json> {
        let parts = conjuncts(self.root, variant);
        parts.into_iter().find_map(words).unwrap_or_default()
    }

    fn tag_word(&self, variant: &'a Json, tag: &str) -> Option<&'a str> {
        let tags = tags(self.root, variant);
        tags.into_iter().find(|(name, _)| *name == tag).map(|(_, word)| word)
    }

    /// A string that is none of the words of `variants`.
    pub(super) fn unknown_word(&self, variants: &[&'a Json], value: &Toml, path: &[Step]) -> Problem {
        let words = variants.iter().flat_map(|variant| self.words(variant));
        let words: Vec<&str> = words.filter_map(Json::as_str).collect();
        let mut problem = self.not_accepted(&words, forms(self.root, variants), value, path);
        let names = variants.iter().filter_map(|variant| external_name(self.root, variant));
        if let Some(name) = names.into_iter().find(|name| value.as_str() == Some(name)) {
            problem.label = format!("`{name}` needs a value: `{{ {name} = … }}`");
        }
        problem
    }

    fn not_accepted(&self, words: &[&str], forms: Vec<String>, value: &Toml, path: &[Step]) -> Problem {
        let title = format!("unknown value for `{}`", display(path));
        let near = value.as_str().and_then(|word| nearest(word, words.iter().copied()));
        let label = match near {
            Some(word) => format!("did you mean {word:?}?"),
            None => format!("not expected here: {}", found(value)),
        };
        let note = format!("accepted values: {}", forms.join(", "));
        self.problem(title, label, path, Part::Value).note(note)
    }

    /// A table without its tag; a key that looks like the tag is taken for a slip.
    fn missing_tag(&self, tag: &str, words: &[&str], table: &Table, path: &[Step]) -> Problem {
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let note = format!("accepted values of `{tag}`: {}", words.join(", "));
        if let Some(key) = nearest(tag, table.keys().map(String::as_str)) {
            let path = join(path, Step::Key(key.to_owned()));
            let title = format!("unknown key `{key}`{}", inside(&path[..path.len() - 1]));
            let label = format!("did you mean `{tag}`?");
            return self.problem(title, label, &path, Part::Key).note(note);
        }
        let title = format!("missing key `{tag}`{}", inside(path));
        self.problem(title, format!("expected `{tag}` here"), path, Part::Value)
            .note(note)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::fixture::{Unions, check};
    use crate::config::parse;

    /// Compares what is underlined and what stands beside it, for each problem.
    fn check_labels(text: &str, expected: &[&str]) {
        let drawn = match parse::<Unions>(text, "a.toml", &[]) {
            Ok(read) => {
                assert_eq!(read, toml::from_str(text).unwrap());
                String::new()
            }
            Err(error) => error.to_string(),
        };
        let lines: Vec<&str> = drawn.lines().collect();
        let found: Vec<String> = lines
            .windows(2)
            .filter(|pair| pair[1].contains('^'))
            .map(|pair| {
                let start = pair[1].find('^').unwrap();
                let end = pair[1].rfind('^').unwrap() + 1;
                format!("{}:{}", &pair[0][start..end], &pair[1][end..])
            })
            .collect();
        assert_eq!(found, expected, "{text}\n{drawn}");
    }

    #[test]
    fn chooses_among_flattened_enums() {
        check_labels(
            "both = { kind = 'disc', radius = 1, inc = 'plain' }",
            &["inc: did you mean `ink`?"],
        );
        check_labels("dressed = { imk = 'plain' }", &["imk: did you mean `ink`?"]);
        check_labels("both = { kind = 'disc', radius = 1 }", &[]);
        check_labels("both = { kind = 'disc', radius = 1, ink = 'striped', angle = 2 }", &[]);
        check_labels(
            "both = { kind = 'disc', radius = 1, angle = 2 }",
            &["angle: not a key of this table"],
        );
        check_labels(
            "both = { kind = 'disc', radius = 1, ink = 'striped', angle = 'x' }",
            &["'x': expected a number, found the string \"x\""],
        );
        check_labels(
            "both = { kind = 'disk', radius = 1 }",
            &["'disk': did you mean \"disc\"?"],
        );
        check_labels(
            "both = { kind = 'disc', radius = 1, ink = 'plan' }",
            &["'plan': did you mean \"plain\"?"],
        );
        check_labels(
            "named = { a = 1, b = true }",
            &["true: expected an integer of at least 0, found the boolean true"],
        );
    }

    #[test]
    fn chooses_among_other_unions() {
        check_labels("adjacent = { type = 'side', value = 1 }", &[]);
        check_labels(
            "adjacent = { type = 'side', value = 'x' }",
            &["'x': expected an integer of at least 0, found the string \"x\""],
        );
        check_labels("source = { pretrained = 'x' }", &[]);
        check_labels("source = { kind = 'bar', length = 3 }", &[]);
        check_labels(
            "source = { kind = 'bar', lenght = 3 }",
            &["lenght: did you mean `length`?"],
        );
        check_labels("source = { kind = 'baz' }", &["'baz': did you mean \"bar\"?"]);
        check_labels("source = { pretrain = 'x' }", &["pretrain: did you mean `pretrained`?"]);
        check_labels("amount = 3", &[]);
        check_labels("amount = 0.5", &[]);
        check_labels("amount = ['x', 1]", &["1: expected a string, found the integer 1"]);
        check_labels(
            "amount = true",
            &["true: expected an integer of at least 0, a number or an array of strings, found the boolean true"],
        );
    }

    #[test]
    fn checks_sets_tuples_and_recursive_types() {
        check_labels("set = [1, 2, 1]", &["[1, 2, 1]: expected every value once"]);
        check_labels("pair = [1, 'x']", &[]);
        check_labels("pair = [1]", &["[1]: expected an array of 2 values, found 1"]);
        check_labels(
            "pair = ['x', 1]",
            &[
                "'x': expected an integer of at least 0, found the string \"x\"",
                "1: expected a string, found the integer 1",
            ],
        );
        check_labels(
            "tree = { children = [{ children = [{ child = 1 }] }] }",
            &["child: not a key of this table"],
        );
    }

    #[test]
    fn draws_tags() {
        check(
            "\"cosine\"",
            "\"cosin\"",
            r#"
error: unknown value for `training.schedule.kind`
  --> recipe.toml:24:21
   |
24 | schedule = { kind = "cosin", warmup_steps = 100 }
   |                     ^^^^^^^ did you mean "cosine"?
   |
   = note: accepted values: "constant", "cosine""#,
        );
        check(
            "task = \"classify\"",
            "from = 'fusion'",
            r#"
error: missing key `task` in `outputs.answer`
  --> recipe.toml:20:1
   |
20 | [outputs.answer]
   | ^^^^^^^^^^^^^^^^ expected `task` here
   |
   = note: accepted values of `task`: "classify", "regress""#,
        );
        check(
            "kind = \"concat\"",
            "knd = \"concat\"",
            r#"
error: unknown key `knd` in `fusion`
  --> recipe.toml:18:1
   |
18 | knd = "concat"
   | ^^^ did you mean `kind`?
   |
   = note: accepted values of `kind`: "concat", "gated""#,
        );
        check(
            "modality = \"image\"",
            "modality = 3",
            r#"
error: unknown value for `inputs.image.modality`
 --> recipe.toml:8:12
  |
8 | modality = 3
  |            ^ not expected here: the integer 3
  |
  = note: accepted values: "image", "text""#,
        );
    }

    #[test]
    fn draws_elements_of_arrays() {
        check(
            "\"flip\"",
            "\"flop\"",
            r#"
error: unknown value for `inputs.image.augment[0]`
  --> recipe.toml:10:12
   |
10 | augment = ["flop", { rotate = 10 }, { crop = 0.9 }]
   |            ^^^^^^ did you mean "flip"?
   |
   = note: accepted values: "flip", "invert", `{ rotate = … }`, `{ crop = … }`, `{ erase = … }`"#,
        );
        check(
            "rotate = 10",
            "rotat = 10",
            r#"
error: unknown key `rotat` in `inputs.image.augment[1]`
  --> recipe.toml:10:22
   |
10 | augment = ["flip", { rotat = 10 }, { crop = 0.9 }]
   |                      ^^^^^ did you mean `rotate`?
   |
   = note: accepted keys: `rotate`, `crop`, `erase`"#,
        );
    }
}
