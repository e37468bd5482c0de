//! Records what a program draws on a screen of its own.

use super::super::child::Running;
use super::super::packages::{Outcome, last_lines, run};
use crate::{DataError, ErrorKind, Result, files};
use image::AnimationDecoder;
use image::codecs::png::PngDecoder;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The size of the screen and of the recording.
const SCREEN: &str = "320x240";
const SCALED: &str = "scale=128:96";
/// The number of frames, and how many a second.
const FRAMES: u32 = 16;
const RATE: u32 = 10;
/// How long a program draws before it is recorded.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the screen or a recording may take to begin or to go on.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the screen may take to end.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often a program is recorded that stands still at first.
const TRIES: usize = 3;
const TICK: Duration = Duration::from_millis(20);

/// An animated PNG, or the reason why there is none.
pub(super) type Recording = std::result::Result<Vec<u8>, String>;

/// Records [`FRAMES`] frames of a fresh run of `program`. `folder` is for files of this run.
pub(super) fn record(program: &Path, folder: &Path) -> Result<Recording> {
    let screen = Screen::open(folder)?;
    let mut command = Command::new(program);
    command.arg("--root").env("DISPLAY", &screen.display);
    command.current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut drawing = match command.spawn() {
        Ok(child) => Running(child),
        Err(error) => return Ok(Err(format!("the program does not start: {error}"))),
    };
    std::thread::sleep(WARM_UP);
    for _ in 0..TRIES {
        // The screen closes with the program.
        if let Ok(Some(status)) = drawing.0.try_wait() {
            return Ok(Err(format!("the program ends with {status}")));
        }
        match screen.grab(folder)? {
            Ok(bytes) if !moves(&bytes) => {}
            recording => return Ok(recording),
        }
    }
    Ok(Err("nothing moves".to_string()))
}

/// A screen that nobody sees.
struct Screen {
    server: Running,
    display: String,
}

impl Screen {
    fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("display");
        let number = File::create(&path).map_err(|error| DataError::io(&error, &path))?;
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-terminate", "-nolisten", "tcp", "-screen", "0"]);
        command.arg(format!("{SCREEN}x24"));
        command.stdin(Stdio::null()).stdout(number).stderr(Stdio::null());
        let mut server = Running(command.spawn().map_err(|error| not_run("Xvfb", &error.to_string()))?);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let written = files::read(&path)?;
            // The number is complete once its line is.
            if let Some(number) = written.strip_suffix(b"\n") {
                let display = format!(":{}", String::from_utf8_lossy(number).trim());
                return Ok(Self { server, display });
            }
            if let Ok(Some(status)) = server.0.try_wait() {
                return Err(not_run("Xvfb", &status.to_string()));
            }
            std::thread::sleep(TICK);
        }
        Err(not_run("Xvfb", "no screen after a while"))
    }

    /// What is on the screen from now on.
    fn grab(&self, folder: &Path) -> Result<Recording> {
        let (log, target) = (folder.join("log"), folder.join("take.png"));
        let (rate, frames) = (RATE.to_string(), FRAMES.to_string());
        let input = [
            "-f",
            "x11grab",
            "-draw_mouse",
            "0",
            "-video_size",
            SCREEN,
            "-framerate",
            &rate,
        ];
        let output = ["-frames:v", &frames, "-vf", SCALED, "-plays", "0", "-f", "apng", "-y"];
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error"]).args(input);
        command.args(["-i", &self.display]).args(output).arg(&target);
        match run(&mut command, &log, PATIENCE, &mut || 0)? {
            Outcome::Finished(status) if status.success() => files::read(&target).map(Ok),
            Outcome::Finished(status) => Ok(Err(format!("ffmpeg ends with {status}: {}", last_lines(&log)))),
            Outcome::Stalled => Ok(Err("ffmpeg does not end".to_string())),
            Outcome::Absent => Err(not_run("ffmpeg", "no such program")),
        }
    }
}

impl Drop for Screen {
    /// The server ends by itself once nobody draws, and only then removes its files; one that does
    /// not is stopped.
    fn drop(&mut self) {
        let start = Instant::now();
        while start.elapsed() < FAREWELL && matches!(self.server.0.try_wait(), Ok(None)) {
            std::thread::sleep(TICK);
        }
    }
}

fn not_run(program: &str, found: &str) -> DataError {
    let message = format!("expected to run `{program}`, found {found}; {}", super::INSTALL);
    DataError::new(ErrorKind::Fetch, message)
}

/// Whether not all frames of an animated PNG are the same.
fn moves(bytes: &[u8]) -> bool {
    let Ok(animation) = PngDecoder::new(Cursor::new(bytes)).and_then(|decoder| decoder.apng()) else {
        return false;
    };
    let mut frames = animation.into_frames().map_while(Result::ok).take(FRAMES as usize);
    let first = frames.next();
    frames.any(|frame| first.as_ref().is_some_and(|first| first.buffer() != frame.buffer()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn animation(frames: &[[u8; 4]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_animated(frames.len() as u32, 0).unwrap();
        let mut writer = encoder.write_header().unwrap();
        for frame in frames {
            writer.write_image_data(frame).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn a_still_picture_does_not_move() {
        let (black, dot) = ([0; 4], [0, 0, 9, 0]);
        for (frames, expected) in [
            (&[black][..], false),
            (&[dot, dot, dot], false),
            (&[black, black, dot], true),
            (&[dot, black], true),
        ] {
            let bytes = animation(frames);
            assert_eq!(moves(&bytes), expected, "{frames:?}");
            (0..bytes.len()).for_each(|cut| assert!(!moves(&bytes[..cut]) || expected));
        }
    }
}
