//! Interrupted runs end with the very bytes of an uninterrupted one.

use crate::fixture::Fixture;
use rand::{RngExt, SeedableRng};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: usize = 20;
const KILLS_IN_A_SAVE: usize = 6;
/// Kills that one run suffers before it may end.
const KILLS_A_RUN: usize = 4;

fn reference() -> Vec<u8> {
    Fixture::trained().read("run/model.safetensors")
}

fn start(fixture: &Fixture) -> Child {
    let arguments = ["train", "recipe.toml", "--run", "run", "--resume", "--quiet"];
    fixture.command(&arguments).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether a checkpoint is half written: its folder is there and its manifest is not.
fn in_a_save(run: &Path) -> bool {
    let Ok(folders) = std::fs::read_dir(run.join("checkpoints")) else {
        return false;
    };
    folders
        .flatten()
        .any(|folder| !folder.path().join("manifest.json").exists())
}

/// Kills the run at a moment and says whether it was inside a save; none when it ended before.
fn kill(mut child: Child, run: &Path, delay: Duration, wanted_in_a_save: bool) -> Option<bool> {
    let began = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if began.elapsed() >= delay && (!wanted_in_a_save || in_a_save(run)) {
            break;
        }
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    // A run that had ended in the meantime was not killed.
    status.code().is_none().then(|| in_a_save(run))
}

#[test]
fn twenty_kills_change_no_byte() {
    let expected = reference();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(20);
    let (mut kills, mut in_saves) = (0, 0);
    while kills < KILLS || in_saves < KILLS_IN_A_SAVE {
        let fixture = Fixture::new();
        let run = fixture.path("run");
        for _ in 0..KILLS_A_RUN {
            let wanted_in_a_save = in_saves < KILLS_IN_A_SAVE && kills % 2 == 0;
            let delay = Duration::from_millis(random.random_range(0..400));
            match kill(start(&fixture), &run, delay, wanted_in_a_save) {
                None => break,
                Some(inside) => {
                    kills += 1;
                    in_saves += usize::from(inside);
                }
            }
        }
        assert!(start(&fixture).wait().unwrap().success());
        assert!(fixture.read("run/model.safetensors") == expected, "after {kills} kills");
    }
    println!("{kills} kills, {in_saves} of them inside a save");
}

/// Kills runs until the checkpoints of `enough` were what `counts` asks for. Each of them ends with the bytes of `expected`.
fn kills_change_no_byte(made: fn() -> Fixture, expected: &[u8], seed: u64, counts: fn(&Path) -> bool, enough: usize) {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut kills = 0;
    while kills < enough {
        let fixture = made();
        let run = fixture.path("run");
        for _ in 0..KILLS_A_RUN {
            let delay = Duration::from_millis(random.random_range(50..400));
            if kill(start(&fixture), &run, delay, false).is_none() {
                break;
            }
            kills += usize::from(counts(&run));
        }
        assert!(start(&fixture).wait().unwrap().success());
        assert!(fixture.read("run/model.safetensors") == expected, "after {kills} kills");
    }
}

/// The weights of a run that nothing interrupts.
fn uninterrupted(made: fn() -> Fixture) -> Vec<u8> {
    let whole = made();
    assert!(start(&whole).wait().unwrap().success());
    whole.read("run/model.safetensors")
}

#[test]
fn a_killed_stream_goes_on_at_the_row_where_it_was() {
    let expected = uninterrupted(Fixture::streaming);
    kills_change_no_byte(Fixture::streaming, &expected, 21, has_a_position, 3);
}

#[test]
fn a_killed_mixture_goes_on_with_the_rows_that_were_next() {
    let expected = uninterrupted(Fixture::mixed);
    kills_change_no_byte(Fixture::mixed, &expected, 23, has_a_checkpoint, KILLS_IN_A_SAVE);
}

#[test]
fn neither_kills_nor_threads_change_a_byte_of_an_average() {
    let expected = uninterrupted(Fixture::averaged);
    assert!(expected != reference());
    kills_change_no_byte(Fixture::averaged, &expected, 22, has_a_checkpoint, KILLS_IN_A_SAVE);
    for threads in ["2", "3"] {
        let fixture = Fixture::averaged();
        let arguments = ["train", "recipe.toml", "--run", "run", "-q", "--threads", threads];
        fixture.expect(&arguments, 0, &[]);
        assert!(fixture.read("run/model.safetensors") == expected, "{threads} threads");
    }
}

/// The newest checkpoint that is whole.
fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(run.join("checkpoints")).into_iter();
    let paths = folders.flatten().flatten().map(|folder| folder.path());
    paths.filter(|path| path.join("manifest.json").exists()).max()
}

fn has_a_checkpoint(run: &Path) -> bool {
    newest_checkpoint(run).is_some()
}

/// Whether the newest checkpoint was taken inside an epoch of a stream.
fn has_a_position(run: &Path) -> bool {
    newest_checkpoint(run).is_some_and(|path| {
        let state = std::fs::read_to_string(path.join("trainer.json")).unwrap();
        state.contains("\"position\"")
    })
}

/// Sends a signal once the first checkpoint is begun; none when the run had ended by then.
fn signal(fixture: &Fixture, signal: &str) -> Option<i32> {
    let mut child = start(fixture);
    while !fixture.path("run/checkpoints").exists() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = Command::new("kill").arg(signal).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
    let code = child.wait().unwrap().code();
    code.filter(|code| *code != 0)
}

#[test]
fn a_signal_saves_the_state_and_exits_with_130() {
    let expected = reference();
    for name in ["-TERM", "-INT"] {
        // On a busy machine a run may end before the signal comes; another one is then begun.
        let interrupted = (0..10).find_map(|_| {
            let fixture = Fixture::new();
            signal(&fixture, name).map(|code| (fixture, code))
        });
        let (fixture, code) = interrupted.expect("ten runs ended before the signal");
        assert_eq!(code, 130, "{name}");
        assert!(start(&fixture).wait().unwrap().success());
        assert!(fixture.read("run/model.safetensors") == expected, "{name}");
    }
}

#[test]
fn the_number_of_loader_threads_changes_no_byte() {
    let expected = reference();
    for threads in [1, 4] {
        let fixture = Fixture::new();
        let set = format!("data.loader_threads={threads}");
        fixture.expect(&["train", "recipe.toml", "--run", "run", "-q", "--set", &set], 0, &[]);
        assert!(fixture.read("run/model.safetensors") == expected, "{threads} threads");
    }
}

#[test]
fn the_number_of_compute_threads_changes_no_byte() {
    let expected = reference();
    let fixture = Fixture::new();
    fixture.expect(
        &["train", "recipe.toml", "--run", "run", "-q", "--threads", "3"],
        0,
        &[],
    );
    assert!(fixture.read("run/model.safetensors") == expected);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before_it() {
    let expected = reference();
    let fixture = Fixture::new();
    fixture.expect(&["train", "recipe.toml", "--run", "run", "-q"], 0, &[]);
    let folders = std::fs::read_dir(fixture.path("run/checkpoints")).unwrap();
    let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().path()).collect();
    folders.sort();
    let newest = folders.pop().unwrap().join("model.safetensors");
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    assert!(start(&fixture).wait().unwrap().success());
    assert!(fixture.read("run/model.safetensors") == expected);
}
