//! Run directories, ports and disks that are not as they should be.

use crate::fixture::{Fixture, copy_folder};

/// A copy of a trained run with one file changed must be refused with code 1 by a message that names the file.
fn check(fixture: &Fixture, file: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) {
    let copy = fixture.path("copy");
    let _ = std::fs::remove_dir_all(&copy);
    copy_folder(&fixture.path("run"), &copy);
    let path = copy.join(file);
    match change(std::fs::read(&path).unwrap()) {
        Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    }
    let name = file.rsplit('/').next().unwrap();
    fixture.expect(&["predict", "copy", "--image", "0.png"], 1, &[name]);
}

fn flip_a_bit(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let middle = bytes.len() * 3 / 4;
    bytes[middle] ^= 0x04;
    Some(bytes)
}

#[test]
fn a_missing_cut_or_altered_file_is_named() {
    let fixture = Fixture::trained();
    for file in [
        "model.safetensors",
        "model.json",
        "processors/image.json",
        "processors/question.json",
    ] {
        check(&fixture, file, |_| None);
        check(&fixture, file, |bytes| Some(bytes[..bytes.len() / 2].to_vec()));
        check(&fixture, file, |_| Some(Vec::new()));
        check(&fixture, file, flip_a_bit);
    }
    fixture.expect(&["predict", "nowhere", "--image", "0.png"], 1, &["nowhere"]);
    fixture.expect(&["evaluate", "nowhere"], 1, &["nowhere"]);
    fixture.expect(&["serve", "nowhere"], 1, &["nowhere"]);
}

#[test]
fn a_folder_in_use_is_refused() {
    let fixture = Fixture::trained();
    let again = ["train", "recipe.toml", "--run", "run"];
    fixture.expect(&again, 2, &["is not empty", "--resume"]);
    let other = [&again[..], &["--resume", "--set", "training.batch_size=7"]].concat();
    fixture.expect(&other, 2, &["another recipe"]);
}

#[test]
fn a_busy_port_is_named() {
    let fixture = Fixture::trained();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    fixture.expect(&["serve", "run", "--addr", &address], 1, &[&address]);
}

/// The disk is full where a checkpoint is to be written: `/dev/full` refuses every write for want of space.
#[test]
fn a_full_disk_leaves_the_older_checkpoint_to_resume_from() {
    let fixture = Fixture::new();
    let run = fixture.path("run");
    std::fs::create_dir_all(&run).unwrap();
    std::os::unix::fs::symlink("/dev/full", run.join("model.safetensors.partial")).unwrap();
    let arguments = ["train", "recipe.toml", "--run", "run", "-q", "--resume"];
    let finished = fixture.expect(&arguments, 1, &["No space left", "model.safetensors"]);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    assert!(fixture.path("run/checkpoints").exists());
    fixture.expect(&arguments, 0, &[]);
    let expected = Fixture::trained().read("run/model.safetensors");
    assert!(fixture.read("run/model.safetensors") == expected);
}

#[test]
fn a_loss_that_is_not_finite_stops_before_the_weights_change() {
    let fixture = Fixture::new();
    let set = ["training.optimizer.learning_rate=1e30", "training.clip_norm=1e30"];
    let set = ["--set", set[0], "--set", set[1]];
    let arguments = [&["train", "recipe.toml", "--run", "run", "-q"], &set[..]].concat();
    fixture.expect(
        &arguments,
        1,
        &["not a finite number", "manifest rows", "learning_rate"],
    );
}
