//! From errors to messages and exit codes: 2 for a wrong command or recipe, 3 over the budget, 130 interrupted, 141 where nobody
//! reads any more, else 1.

use crate::interrupt;
use sensorium_data::{DataError, ErrorKind};
use sensorium_model::ModelError;
use sensorium_train::TrainError;
use std::fmt;
use std::process::ExitCode;

/// A mistake in the command line or the recipe.
#[derive(Debug)]
pub struct Usage(pub String);

/// Stopped by Ctrl-C or SIGTERM after the state was saved.
#[derive(Debug)]
pub struct Interrupted(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Interrupted {}

/// What a shell says of a program that was ended by SIGPIPE.
const UNREAD: i32 = 141;

/// Runs a verb; a panic is a failure like any other, and what failed because of a signal is an interruption.
pub fn run(verb: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    leave_closed_pipes();
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(verb)) {
        Ok(result) => code(result),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Ends the program without a word where what reads its output, such as `head`, has had enough: printing panics there.
fn leave_closed_pipes() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout: Broken pipe") {
            std::process::exit(UNREAD);
        }
        usual(panic);
    }));
}

/// Prints what went wrong and gives the contract's code.
fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let code = if interrupt::is_set() { 130 } else { classify(&error) };
    match code {
        130 => eprintln!("{error}"),
        _ => eprintln!("error: {}", chain(&error)),
    }
    ExitCode::from(code)
}

/// The message and its causes, each of which adds something.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text.trim_start_matches("error: ").to_string()
}

fn classify(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        return 2;
    }
    if error.is::<Interrupted>() {
        return 130;
    }
    if error
        .downcast_ref::<DataError>()
        .is_some_and(|error| error.kind == ErrorKind::Budget)
    {
        return 3;
    }
    match error.downcast_ref::<TrainError>() {
        Some(TrainError::Recipe(_) | TrainError::Model(ModelError::Config { .. })) => 2,
        Some(TrainError::Budget(_)) => 3,
        _ => 1,
    }
}
