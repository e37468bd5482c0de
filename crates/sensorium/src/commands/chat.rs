//! `sensorium chat RUN`: a dialogue in the terminal; each line is a question, and each gets a line in answer.

use super::answers;
use super::inputs::{self, Inputs};
use super::precision::Precision;
use crate::Global;
use crate::exit::Usage;
use crate::runs::device;
use sensorium_data::{DataError, InputColumn, Modality, Sample, Value};
use sensorium_model::{Answers, Pipeline, RunDirectory, release_freed_memory};
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// The longest question in bytes.
const LONGEST: usize = 1 << 20;

/// The most turns that are kept; a model reads far fewer.
const MOST_TURNS: usize = 1024;

const COMMANDS: &str = "/image PATH, /audio FILE, /video FILE: ask about another one, from the beginning
/reset: forget what was said
/quit: leave";

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// The text input that questions go to, where there are several
    #[arg(long, value_name = "NAME")]
    ask: Option<String>,
    /// The output that answers, where there are several: `answer` or else the first one, unless named here
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// How finely the weights of Transformers and decoders are held
    #[arg(long, value_enum, default_value_t = Precision::Float32)]
    precision: Precision,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let pipeline = Pipeline::load_packed(
        &RunDirectory::new(&arguments.run),
        &device(),
        arguments.precision.into(),
    )?;
    release_freed_memory();
    let mut chat = Chat::new(&pipeline, &arguments)?;
    if !global.quiet {
        chat.introduce();
    }
    let stdin = std::io::stdin();
    let prompts = stdin.is_terminal();
    let mut lines = stdin.lock();
    loop {
        if prompts {
            eprint!("> ");
        }
        let Some(line) = read_line(&mut lines)? else {
            return Ok(());
        };
        match line.trim() {
            "" => {}
            "/quit" => return Ok(()),
            line if line.starts_with('/') => eprintln!("{}", chat.command(line)),
            question => chat.ask(question)?,
        }
    }
}

/// The next line; none at the end.
fn read_line(lines: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    let limit = LONGEST as u64 + 1;
    if lines.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() > LONGEST {
        anyhow::bail!("expected a question of at most {LONGEST} bytes; make it shorter");
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(Some(line)),
        Err(_) => anyhow::bail!("expected a question in UTF-8"),
    }
}

/// What the questions are about, and what was said.
struct Chat<'a> {
    pipeline: &'a Pipeline,
    asked: &'a InputColumn,
    output: String,
    /// Whether the run learned from dialogues.
    remembers: bool,
    context: BTreeMap<String, Value>,
    /// The questions and their answers, the oldest first.
    turns: Vec<Value>,
}

impl<'a> Chat<'a> {
    fn new(pipeline: &'a Pipeline, arguments: &Arguments) -> anyhow::Result<Self> {
        let asked = match &arguments.ask {
            Some(name) => inputs::named(pipeline.inputs(), "--ask", name)?,
            None => question(pipeline)?,
        };
        if asked.processor.modality() != Modality::Text {
            return Err(Usage(format!("--ask: expected a text input, `{}` is none", asked.name)).into());
        }
        let chat = Self {
            pipeline,
            asked,
            output: output(pipeline, arguments.output.as_deref())?,
            remembers: pipeline.description.turns.contains(&asked.name),
            context: arguments.inputs.collect(pipeline.inputs(), Some(asked))?,
            turns: Vec::new(),
        };
        for input in pipeline.inputs() {
            if let Some(value) = chat.context.get(&input.column) {
                input.processor.prepare(value, Path::new(""))?;
            }
        }
        Ok(chat)
    }

    fn introduce(&self) {
        if !self.remembers {
            eprintln!("this run has no dialogue input: each question is answered by itself");
        }
        if std::io::stdin().is_terminal() {
            eprintln!("{COMMANDS}");
        }
    }

    /// Answers on one line of stdout; a question that cannot be answered has its error there.
    fn ask(&mut self, question: &str) -> anyhow::Result<()> {
        let mut values = self.context.clone();
        let asked = Value::Text(question.to_string());
        values.insert(self.asked.column.clone(), self.with_turns(asked.clone()));
        let mut out = std::io::stdout().lock();
        match self
            .pipeline
            .predict(vec![Sample { row: 0, values }], Path::new(""))
            .remove(0)
        {
            Ok(answers) => {
                writeln!(
                    out,
                    "{}",
                    self.line(&answers, out.is_terminal() && std::env::var_os("NO_COLOR").is_none())
                )?;
                if self.remembers {
                    self.remember(asked, &answers);
                }
            }
            Err(error) => writeln!(out, "error: {}", DataError { row: None, ..error })?,
        }
        Ok(out.flush()?)
    }

    /// The question behind what was said, for a run that reads it.
    fn with_turns(&self, question: Value) -> Value {
        match self.remembers {
            true => Value::List(self.turns.iter().cloned().chain([question]).collect()),
            false => question,
        }
    }

    fn remember(&mut self, question: Value, answers: &Answers) {
        let answer = answers
            .get(&self.output)
            .map(|answer| Value::Text(answer.value.to_string()));
        self.turns
            .push(Value::List([Some(question), answer].into_iter().flatten().collect()));
        if self.turns.len() > MOST_TURNS {
            self.turns.remove(0);
        }
    }

    fn line(&self, answers: &Answers, dim: bool) -> String {
        let Some(answer) = answers.get(&self.output) else {
            return "(none)".into();
        };
        let confidence = answers::confidence(answer).map(|confidence| format!("({confidence})"));
        let value = answers::value(answer);
        match confidence {
            Some(confidence) if dim => format!("{value} \x1b[2m{confidence}\x1b[22m"),
            Some(confidence) => format!("{value} {confidence}"),
            None => value,
        }
    }

    /// Does what a line that begins with a slash says; gives the words to print.
    fn command(&mut self, line: &str) -> String {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let modality = match command {
            "/reset" => {
                self.turns.clear();
                return "what was said is forgotten".into();
            }
            "/image" => Modality::Image,
            "/audio" => Modality::Audio,
            "/video" => Modality::Video,
            _ => return COMMANDS.into(),
        };
        if rest.trim().is_empty() {
            return COMMANDS.into();
        }
        match self.look_at(command, modality, rest.trim()) {
            Ok(()) => format!("asking about {}", rest.trim()),
            Err(error) => format!("error: {error}"),
        }
    }

    /// Asks about another medium from now on; one that cannot be read changes nothing.
    fn look_at(&mut self, flag: &str, modality: Modality, path: &str) -> anyhow::Result<()> {
        let input = inputs::only(self.pipeline.inputs(), flag, modality, None)?;
        let value = Value::Text(path.to_string());
        input.processor.prepare(&value, Path::new(""))?;
        self.context.insert(input.column.clone(), value);
        self.turns.clear();
        Ok(())
    }
}

/// The text input that takes turns, or the only one, or the one of that name.
fn question(pipeline: &Pipeline) -> anyhow::Result<&InputColumn> {
    let is_text = |input: &&InputColumn| input.processor.modality() == Modality::Text;
    let texts: Vec<&InputColumn> = pipeline.inputs().iter().filter(is_text).collect();
    let find = |wanted: &dyn Fn(&str) -> bool| texts.iter().copied().find(|input| wanted(&input.name));
    let turns = &pipeline.description.turns;
    match (
        texts.as_slice(),
        find(&|name| turns.contains(name)),
        find(&|name| name == "question"),
    ) {
        ([], _, _) => Err(Usage("chat: the run has no text input to ask by".into()).into()),
        ([only], _, _) => Ok(only),
        (_, Some(input), _) | (_, None, Some(input)) => Ok(input),
        (many, None, None) => {
            let names: Vec<&str> = many.iter().map(|input| input.name.as_str()).collect();
            let names = names.join(", ");
            Err(Usage(format!(
                "chat: the run has several text inputs; choose with --ask one of {names}"
            ))
            .into())
        }
    }
}

fn output(pipeline: &Pipeline, wanted: Option<&str>) -> anyhow::Result<String> {
    let names: Vec<&str> = pipeline.outputs().iter().map(|output| output.name.as_str()).collect();
    let found = match wanted {
        Some(wanted) => names.iter().find(|name| **name == wanted),
        None => names.iter().find(|name| **name == "answer").or(names.first()),
    };
    found.map(|name| name.to_string()).ok_or_else(|| {
        let known = names.join(", ");
        Usage(format!("--output: the run has no such output; it has {known}")).into()
    })
}
