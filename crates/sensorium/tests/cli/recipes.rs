//! Mistakes in recipes: code 2, the place, and the nearest valid word.

use crate::fixture::Fixture;

fn check(from: &str, to: &str, words: &[&str]) {
    let fixture = Fixture::new();
    let recipe = String::from_utf8(fixture.read("recipe.toml")).unwrap();
    assert!(recipe.contains(from), "{from} is not in the recipe");
    fixture.write("recipe.toml", recipe.replacen(from, to, 1));
    let finished = fixture.expect(&["train", "recipe.toml", "--run", "run"], 2, words);
    assert!(
        finished.stderr.contains("recipe.toml:"),
        "no place is given:\n{}",
        finished.stderr
    );
    assert!(!fixture.path("run").exists());
}

#[test]
fn each_mistake_is_shown_where_it_is() {
    check("batch_size = 6", "batchsize = 6", &["batchsize", "batch_size", "^"]);
    check("batch_size = 6", "batch_size = \"six\"", &["integer", "six", "^"]);
    check("batch_size = 6", "batch_size = 0", &["batch_size", "1"]);
    check(
        "kind = \"gated\"",
        "kind = \"gate\"",
        &["gated", "concat", "cross_attention"],
    );
    check("modality = \"image\"", "modality = \"imag\"", &["image", "text"]);
    check("task = \"classify\"", "task = \"clasify\"", &["classify"]);
    check(
        "trunk = { kind = \"cnn\", stages",
        "trunk = { kind = \"cnn\", stage",
        &["stages"],
    );
    check("seed = 5", "seed = = 5", &["^"]);
    check("[outputs.answer]", "[output.answer]", &["outputs"]);
}

#[test]
fn mistakes_that_only_the_data_or_the_model_shows() {
    let fixture = Fixture::new();
    let with = |set: &'static str| ["train", "recipe.toml", "--run", "run", "--set", set];
    fixture.expect(
        &with("inputs.image.stem.kind=embedding"),
        2,
        &["inputs.image.stem", "pixels"],
    );
    assert!(
        !fixture.path("run").exists(),
        "a recipe that cannot work has left a folder"
    );
    fixture.expect(
        &with("training.stop.metric=validation.acuracy"),
        2,
        &["validation.answer.accuracy"],
    );
    fixture.expect(&with("training.batch_sise=3"), 2, &["--set", "batch_size"]);
    fixture.expect(&with("nonsense"), 2, &["nonsense"]);
    fixture.expect(&["train", "none.toml"], 2, &["none.toml"]);
    fixture.expect(&["train"], 2, &["RECIPE"]);
    fixture.expect(&["trian", "recipe.toml"], 2, &["train"]);
}
