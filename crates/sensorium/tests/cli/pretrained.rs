//! Language models that are trained further: by themselves, and behind pictures that they learn to read.

use crate::fixture::Fixture;
use crate::language;
use serde_json::{Value, json};

/// Learns the questions of the rows.
const LANGUAGE: &str = r#"[inputs.question]
modality = "text"
tokenizer = { kind = "bpe", vocabulary = 270 }
[outputs.next]
task = "language_model"
context = 16
"#;

const DECODER: &str = "decoder = { kind = \"llama\", width = 16, layers = 1, heads = 2, key_heads = 1 }\n";
const SHORT: &str = "[training]\nmax_epochs = 1\n";

/// Writes the answers behind the pictures of the rows, and what `output` says.
fn behind(output: &str) -> String {
    format!(
        r#"[inputs.image]
modality = "image"
size = 16
trunk = {{ kind = "cnn", stages = [8, 8] }}
[outputs.answer]
task = "generate"
from = "inputs.image"
{output}
{SHORT}"#
    )
}

/// The fixture with a language model that was trained here in `language`.
pub fn trained() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("language.toml", format!("{LANGUAGE}{DECODER}{SHORT}"));
    train(&fixture, "language.toml", "language");
    fixture
}

pub fn train(fixture: &Fixture, recipe: &str, run: &str) {
    fixture.expect(&["train", recipe, "--run", run, "--quiet"], 0, &[]);
}

/// A tensor of a run, as bytes.
fn tensor(fixture: &Fixture, run: &str, name: &str) -> Vec<u8> {
    let file = fixture.read(&format!("{run}/model.safetensors"));
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let place = |index: usize| header[name]["data_offsets"][index].as_u64().unwrap() as usize;
    file[8 + length..][place(0)..place(1)].to_vec()
}

const QUERY: &str = "decoder.body.blocks.0.attention.query.weight";

#[test]
fn a_language_model_of_a_run_reads_pictures() {
    let fixture = trained();
    let weight = |run: &str, output: &str| tensor(&fixture, run, &format!("outputs.{output}.{QUERY}"));
    let before = weight("language", "next");
    let prefix = "pretrained = \"language\"\nreads = { kind = \"prefix\", projector = \"linear\" }\n";
    let further = [
        ("fine", ""),
        ("frozen", "freeze = true"),
        ("adapted", "lora = { rank = 2 }"),
    ];
    for (run, more) in further {
        let recipe = format!("{run}.toml");
        fixture.write(&recipe, behind(&format!("{prefix}{more}")));
        train(&fixture, &recipe, run);
        // Once more from the recipe that the run keeps.
        fixture.expect(&["train", &recipe, "--run", run, "--resume", "--quiet"], 0, &[]);
        assert_eq!(weight(run, "answer") == before, run != "fine", "{run}");
        let tokenizer = |path: &str| fixture.read(&format!("{path}.tokenizer.json"));
        assert_eq!(
            tokenizer(&format!("{run}/processors/outputs/answer")),
            tokenizer("language/processors/question")
        );
    }
    std::fs::remove_dir_all(fixture.path("language")).unwrap();
    for (run, _) in further {
        let measured = fixture.expect(&["evaluate", run, "--json", "--quiet"], 0, &[]);
        assert!(measured.stdout.contains("\"shuffled:image\""), "{}", measured.stdout);
        tells_what_rounding_costs(&fixture, run, &measured.stdout);
        let answered = fixture.expect(&["predict", run, "--image", "0.png", "--json"], 0, &[]);
        let answer: Value = serde_json::from_str(&answered.stdout).unwrap();
        assert!(answer["outputs"]["answer"]["value"].is_string(), "{answer}");
    }
}

/// An evaluation in few bits is printed, and what is stored of the run stays what was `measured`.
fn tells_what_rounding_costs(fixture: &Fixture, run: &str, measured: &str) {
    let path = format!("{run}/evaluation/test.json");
    let before = fixture.read(&path);
    let arguments = [
        "evaluate",
        run,
        "--json",
        "--quiet",
        "--no-controls",
        "--precision",
        "int4",
    ];
    let rounded = fixture.expect(&arguments, 0, &[]);
    let metrics = |text: &str| serde_json::from_str::<Value>(text).unwrap()["metrics"].clone();
    assert_ne!(metrics(&rounded.stdout), metrics(measured), "{run}");
    assert_eq!(fixture.read(&path), before, "{run}");
}

#[test]
fn public_language_models_read_pictures() {
    for name in ["gpt2", "llama", "qwen2"] {
        let fixture = language::with_checkpoint(name);
        let output = format!("pretrained = \"{name}\"\nreads = {{ kind = \"prefix\" }}\n");
        fixture.write("behind.toml", behind(&output));
        train(&fixture, "behind.toml", "run");
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        fixture.expect(&["evaluate", "run", "--quiet"], 0, &[]);
    }
}

#[test]
fn a_question_prompts_what_is_written() {
    let fixture = trained();
    let prompted = "prompt = \"question\"\nreads = { kind = \"prefix\" }\n";
    let question = "[inputs.question]\nmodality = \"text\"\n";
    let own = "tokenizer = { kind = \"word\" }\nmax_length = 12\n";
    for (run, more) in [
        ("further", "pretrained = \"language\"\n"),
        ("own", &format!("{own}{DECODER}")),
    ] {
        let recipe = format!("{run}.toml");
        fixture.write(&recipe, format!("{question}{}", behind(&format!("{prompted}{more}"))));
        train(&fixture, &recipe, run);
        fixture.expect(&["train", &recipe, "--run", run, "--resume", "--quiet"], 0, &[]);
        let [prompt, output] =
            ["question", "outputs/answer"].map(|name| fixture.read(&format!("{run}/processors/{name}.tokenizer.json")));
        assert_eq!(prompt, output, "{run}");
        let measured = fixture.expect(&["evaluate", run, "--json", "--quiet"], 0, &[]);
        for control in ["without:question", "shuffled:image"] {
            assert!(measured.stdout.contains(control), "{run}: {}", measured.stdout);
        }
        let asked = [
            "predict",
            run,
            "--image",
            "0.png",
            "--input",
            "question=which color?",
            "--json",
        ];
        fixture.expect(&asked, 0, &[]);
        // A picture alone is answered too.
        fixture.expect(&["predict", run, "--image", "0.png", "--json"], 0, &[]);
    }
    // Words of questions and of answers.
    let words = String::from_utf8(fixture.read("own/processors/question.tokenizer.json")).unwrap();
    assert!(words.contains("\"color\"") && words.contains("\"green\""), "{words}");
    let wrong = |recipe: String, words: &[&str]| {
        fixture.write("wrong.toml", recipe);
        fixture.expect(&["train", "wrong.toml", "--run", "wrong", "--quiet"], 2, words);
    };
    let with = |more: &str| behind(&format!("{prompted}{more}"));
    wrong(with(""), &["outputs.answer.prompt", "no input is called `question`"]);
    wrong(
        with("").replace("\"question\"", "\"image\""),
        &["outputs.answer.prompt", "a text, found image"],
    );
    wrong(
        format!("{question}lowercase = false\n{}", with("")),
        &["outputs.answer.prompt", "without settings of texts"],
    );
}

#[test]
fn language_models_are_trained_further() {
    let fixture = trained();
    let before = tensor(&fixture, "language", &format!("outputs.next.{QUERY}"));
    let plain = "[inputs.question]\nmodality = \"text\"\n[outputs.more]\ntask = \"language_model\"\n";
    for (run, more) in [("fine", ""), ("adapted", "lora = { rank = 2 }\n")] {
        let recipe = format!("{run}.toml");
        fixture.write(&recipe, format!("{plain}pretrained = \"language\"\n{more}{SHORT}"));
        train(&fixture, &recipe, run);
        let after = tensor(&fixture, run, &format!("outputs.more.{QUERY}"));
        assert_eq!(after == before, run == "adapted");
        let tokenizer = |run: &str| fixture.read(&format!("{run}/processors/question.tokenizer.json"));
        assert_eq!(tokenizer(run), tokenizer("language"));
        let description: Value = serde_json::from_slice(&fixture.read(&format!("{run}/model.json"))).unwrap();
        assert_eq!(description["model"]["outputs"]["more"]["context"], json!(16));
    }
    // Of several steps too: an imported model, trained further here, goes on with texts.
    for name in ["gpt2", "llama"] {
        let fixture = language::with_checkpoint(name);
        fixture.write("fine.toml", format!("{plain}pretrained = \"{name}\"\n{SHORT}"));
        train(&fixture, "fine.toml", "run");
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        fixture.write("again.toml", format!("{plain}pretrained = \"run\"\n{SHORT}"));
        train(&fixture, "again.toml", "again");
        fixture.expect(&["predict", "again", "--input", "question=which", "--json"], 0, &[]);
    }
}

#[test]
fn what_a_language_model_settles_is_not_said_otherwise() {
    let fixture = trained();
    let wrong = |recipe: String, words: &[&str]| {
        fixture.write("wrong.toml", recipe);
        fixture.expect(&["train", "wrong.toml", "--run", "wrong", "--quiet"], 2, words);
    };
    let given = "pretrained = \"language\"\n";
    wrong(
        behind(given),
        &["outputs.answer.reads", "{ kind = \"prefix\" }", "no attention"],
    );
    let with = |more: &str| behind(&format!("{given}reads = {{ kind = \"prefix\" }}\n{more}"));
    wrong(
        with("language = \"en\""),
        &["outputs.answer.language", "no decoder of speech"],
    );
    wrong(
        with("decoder = { kind = \"gru\" }"),
        &["outputs.answer.decoder", "expected none"],
    );
    wrong(
        with("tokenizer = { kind = \"word\" }"),
        &["outputs.answer.tokenizer", "read as in that run"],
    );
    wrong(
        with("freeze = true\nlora = { rank = 2 }"),
        &["outputs.answer.freeze", "either `freeze` or `lora`"],
    );
    wrong(
        with("").replace(given, "freeze = true\n"),
        &["outputs.answer.freeze", "beside `pretrained`"],
    );
    wrong(
        with("decoder = { kind = \"gru\" }").replace(given, ""),
        &["outputs.answer.reads", "recurrent decoder"],
    );
    let model = |more: &str| format!("{LANGUAGE}{more}{SHORT}");
    wrong(
        model(given).replace("270", "280"),
        &["outputs.next.tokenizer", "read as in that run"],
    );
    wrong(
        model("lora = { rank = 2 }\n"),
        &["outputs.next.lora", "beside `pretrained`"],
    );
    fixture.write("pictures.toml", behind(DECODER));
    train(&fixture, "pictures.toml", "pictures");
    let other = with("").replace("\"language\"", "\"pictures\"");
    wrong(other, &["one output of the task `language_model`, found 0"]);
}
