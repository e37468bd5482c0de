//! The programs `ffmpeg` and `ffprobe` behind hard limits: wall-clock and processor time, memory,
//! and the length of what they write.
//!
//! The environment variable `SENSORIUM_FFMPEG` names the `ffmpeg` to use, with its `ffprobe` beside
//! it; without it both are looked for on the path.

use crate::{DataError, ErrorKind, Result};
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Names the `ffmpeg` to use.
pub const VARIABLE: &str = "SENSORIUM_FFMPEG";

/// The address space that a program may take, in KiB: enough for one thread on the largest frames.
const MAX_MEMORY_KIB: u64 = 4 << 20;
/// How much of a program's messages is kept, in bytes.
const MAX_SAID: usize = 16 << 10;
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(2);

/// One run of a program: what it is told, and how long it may take and write.
#[derive(Debug)]
pub struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    patience: Duration,
    max_output: u64,
}

/// What a program that ended well gave.
#[derive(Debug)]
pub struct Finished<T> {
    /// What the reader made of the standard output.
    pub value: T,
    /// Its messages, on one line; empty when there were none.
    pub said: String,
}

impl Call {
    /// A call of `ffmpeg` that reads no input from the terminal and reports errors only.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the program is not installed.
    pub fn ffmpeg(patience: Duration, max_output: u64) -> Result<Self> {
        let call = Self::new(find("ffmpeg")?, patience, max_output);
        Ok(call.with(["-nostdin", "-hide_banner", "-loglevel", "error"]))
    }

    /// A call of `ffprobe` that reports errors only.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the program is not installed.
    pub fn ffprobe(patience: Duration, max_output: u64) -> Result<Self> {
        let call = Self::new(find("ffprobe")?, patience, max_output);
        Ok(call.with(["-hide_banner", "-loglevel", "error"]))
    }

    fn new(program: PathBuf, patience: Duration, max_output: u64) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            patience,
            max_output,
        }
    }

    /// Adds arguments.
    pub fn with<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Runs the program and lets `read` take its standard output, to the end or to an error. When
    /// this returns the program has ended, whatever happened.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond a limit, [`ErrorKind::Damaged`] with its own message when the
    /// program fails, what `read` refuses, and [`ErrorKind::Io`] when it cannot be started.
    pub fn run<T>(self, read: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<Finished<T>> {
        let mut child = self.spawn().map_err(|error| self.not_run(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut output = Output::new(stdout.expect("the output is piped"), self.max_output);
        let errors = stderr.expect("the messages are piped");
        let stop = AtomicBool::new(false);
        let (result, ended, end, said) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| watch(child, self.patience, &stop));
            let listen = scope.spawn(|| listen(errors));
            let result = read(&mut output).and_then(|value| output.drain().map(|()| value));
            let ended = output.ended;
            // A reader that gave up has no use for the rest; at the end the program is let finish.
            stop.store(!ended, Ordering::Relaxed);
            drop(output);
            let end = watch.join().expect("the watch does not panic");
            (result, ended, end, listen.join().expect("listening does not panic"))
        });
        match end.map_err(|error| self.not_run(&error))? {
            End::TooSlow => Err(self.too_slow()),
            End::Status(status) if ended && !status.success() => Err(self.failed(status, &said)),
            _ => Ok(Finished { value: result?, said }),
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = limited(&self.program, self.patience);
        command.args(&self.arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn()
    }

    fn not_run(&self, error: &io::Error) -> DataError {
        let message = format!(
            "expected to run `{}`, found: {error}; check its permissions",
            self.program.display()
        );
        DataError::new(ErrorKind::Io, message)
    }

    fn too_slow(&self) -> DataError {
        let message = format!(
            "expected `{}` to end within {} s, found it still at work; shorten the file or convert \
             it to a smaller size",
            name(&self.program),
            self.patience.as_secs_f32()
        );
        DataError::new(ErrorKind::TooLarge, message)
    }

    fn failed(&self, status: ExitStatus, said: &str) -> DataError {
        let kind = match said.contains("Cannot allocate memory") {
            true => ErrorKind::TooLarge,
            false => ErrorKind::Damaged,
        };
        let message = format!(
            "expected a file that `{}` can read, found {status}: {said}; replace or convert the file",
            name(&self.program)
        );
        DataError::new(kind, message)
    }
}

fn name(program: &Path) -> std::borrow::Cow<'_, str> {
    program.file_name().unwrap_or_default().to_string_lossy()
}

/// Where a program is installed.
fn find(program: &str) -> Result<PathBuf> {
    match std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        Some(named) => beside(Path::new(&named), program),
        None => on_path(program, &std::env::var_os("PATH").unwrap_or_default()),
    }
}

/// `program` in the folder of the `ffmpeg` that the environment names.
fn beside(named: &Path, program: &str) -> Result<PathBuf> {
    let path = match program {
        "ffmpeg" => named.to_path_buf(),
        _ => named.with_file_name(program),
    };
    if path.is_file() {
        return Ok(path);
    }
    let message = format!(
        "expected {VARIABLE} to name a folder's `ffmpeg` with its `ffprobe` beside it, found no \
         file `{}`; correct or unset it",
        path.display()
    );
    Err(DataError::new(ErrorKind::Unsupported, message))
}

fn on_path(program: &str, folders: &std::ffi::OsStr) -> Result<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let mut places = std::env::split_paths(folders).map(|folder| folder.join(&file));
    places.find(|path| path.is_file()).ok_or_else(|| {
        let message = format!(
            "expected the program `{program}` to read this kind of video, found none on the path; \
             install it (on Debian and Ubuntu: apt-get install ffmpeg) or name it in {VARIABLE}"
        );
        DataError::new(ErrorKind::Unsupported, message)
    })
}

/// Starts `program` by way of a shell, which limits its memory and its processor time: the limits
/// hold even if this process dies. In a process group of its own it does not hear an interrupt that
/// is meant for this process, and would report the file that it was reading as damaged.
#[cfg(unix)]
fn limited(program: &Path, patience: Duration) -> Command {
    use std::os::unix::process::CommandExt;
    const SCRIPT: &str = r#"for limit in "-v $1" "-t $2"; do
        (ulimit $limit) 2>/dev/null && ulimit $limit
    done
    shift 2; exec "$@""#;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "sh"]);
    command.args([MAX_MEMORY_KIB.to_string(), (patience.as_secs() + 1).to_string()]);
    command.arg(program).process_group(0);
    command
}

#[cfg(not(unix))]
fn limited(program: &Path, _patience: Duration) -> Command {
    Command::new(program)
}

/// Ends the program with all that it started, and takes note of its end so that it leaves no zombie.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    #[cfg(unix)]
    {
        // Nothing is left to be done where this fails: the program itself is ended below.
        let kill = format!("kill -s KILL -- -{}", child.id());
        let _ = Command::new("/bin/sh")
            .args(["-c", &kill])
            .stderr(Stdio::null())
            .status();
    }
    // A child that ended at this very moment cannot be stopped, and need not be.
    let _ = child.kill();
    child.wait()
}

#[derive(Debug)]
enum End {
    Status(ExitStatus),
    TooSlow,
}

/// Waits for the end of the program, and brings it about after `patience` or when told to stop.
fn watch(mut child: Child, patience: Duration, stop: &AtomicBool) -> io::Result<End> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Status(status));
        }
        if start.elapsed() >= patience {
            return end(&mut child).map(|_| End::TooSlow);
        }
        if stop.load(Ordering::Relaxed) {
            return end(&mut child).map(End::Status);
        }
        std::thread::sleep(POLL);
    }
}

/// Reads all messages, keeps the first of them, and puts these on one line.
fn listen(mut errors: ChildStderr) -> String {
    let mut kept = Vec::new();
    // What cannot be read of the messages is not needed: the exit status tells success.
    let _ = errors.by_ref().take(MAX_SAID as u64).read_to_end(&mut kept);
    let _ = io::copy(&mut errors, &mut io::sink());
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // The first message is the cause, the last ones the consequence; each once.
    let mut told: Vec<&str> = lines.iter().take(2).copied().collect();
    if let Some(last) = lines.last().filter(|last| !told.contains(last)) {
        told.push(last);
    }
    told.join("; ")
}

/// A program's standard output up to a limit.
struct Output {
    stdout: ChildStdout,
    left: u64,
    limit: u64,
    /// Whether the program closed it.
    ended: bool,
}

impl Output {
    fn new(stdout: ChildStdout, limit: u64) -> Self {
        Self {
            stdout,
            left: limit,
            limit,
            ended: false,
        }
    }

    /// Reads to the end what the reader left.
    fn drain(&mut self) -> Result<()> {
        let copied = io::copy(self, &mut io::sink());
        copied.map(|_| ()).map_err(|error| not_read(&error))
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        let Some(left) = self.left.checked_sub(count as u64) else {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, self.limit.to_string()));
        };
        self.left = left;
        Ok(count)
    }
}

/// The error of reading a program's output, for readers to return.
pub fn not_read(error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => {
            let message = format!(
                "expected a file of which the decoder gives at most {error} bytes, found more; \
                 make it shorter or smaller"
            );
            DataError::new(ErrorKind::TooLarge, message)
        }
        io::ErrorKind::UnexpectedEof => {
            let message = "expected more output of the decoder, found its end; replace the file";
            DataError::new(ErrorKind::Damaged, message)
        }
        _ => DataError::new(
            ErrorKind::Io,
            format!("expected the decoder's output, found: {error}; try again"),
        ),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs a stand-in for the program: a shell script.
    fn run(script: &str, patience: Duration) -> Result<Finished<Vec<u8>>> {
        let call = Call::new("/bin/sh".into(), patience, 100_000).with(["-c", script]);
        call.run(|output| {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).map_err(|error| not_read(&error))?;
            Ok(bytes)
        })
    }

    fn check_error(script: &str, patience: Duration, kind: ErrorKind, words: &str) {
        let start = Instant::now();
        let error = run(script, patience).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words), "{error}");
        assert!(start.elapsed() < Duration::from_secs(15), "{script}");
    }

    #[test]
    fn output_and_messages_of_a_program_that_ends_well_are_given() {
        let finished = run("printf abc; echo one >&2; echo two >&2", PATIENCE).unwrap();
        assert_eq!(
            (finished.value, finished.said),
            (b"abc".to_vec(), "one; two".to_string())
        );
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let failing = "printf abc; echo first >&2; echo second >&2; echo second >&2; echo last >&2; exit 1";
        check_error(
            failing,
            PATIENCE,
            ErrorKind::Damaged,
            "exit status: 1: first; second; last;",
        );
        check_error("kill -SEGV $$", PATIENCE, ErrorKind::Damaged, "signal: 11");
        let memory = "echo Cannot allocate memory >&2; exit 1";
        check_error(memory, PATIENCE, ErrorKind::TooLarge, "Cannot allocate");
    }

    #[test]
    fn endless_work_output_and_messages_are_ended() {
        let short = Duration::from_millis(150);
        check_error("exec sleep 60", short, ErrorKind::TooLarge, "within 0.15 s");
        check_error("while :; do :; done", short, ErrorKind::TooLarge, "within 0.15 s");
        check_error("exec yes", PATIENCE, ErrorKind::TooLarge, "at most 100000 bytes");
        check_error("exec yes >&2", short, ErrorKind::TooLarge, "within 0.15 s");
        check_error("exec >&-; exec sleep 60", short, ErrorKind::TooLarge, "within 0.15 s");
    }

    #[test]
    fn what_a_program_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! > '{}'; wait", pid.display());
        check_error(
            &script,
            Duration::from_millis(300),
            ErrorKind::TooLarge,
            "still at work",
        );
        let pid = std::fs::read_to_string(pid).unwrap();
        let gone = || {
            let state = Command::new("/bin/sh")
                .args(["-c", &format!("kill -0 {}", pid.trim())])
                .output();
            !state.unwrap().status.success()
        };
        let start = Instant::now();
        while !gone() {
            // Its new parent may take a moment to take note of its end.
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "process {pid} is still there"
            );
            std::thread::sleep(POLL);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_limited() {
        let limit = run("ulimit -v", PATIENCE).unwrap().value;
        let limit: u64 = String::from_utf8(limit).unwrap().trim().parse().unwrap();
        assert!(limit <= MAX_MEMORY_KIB, "{limit}");
    }

    #[test]
    fn the_error_of_a_reader_is_kept() {
        let call = Call::new("/bin/sh".into(), PATIENCE, 100).with(["-c", "printf abc; exec sleep 60"]);
        let refused = DataError::new(ErrorKind::Invalid, "no");
        let error = call.run::<()>(|_| Err(refused)).unwrap_err();
        assert_eq!((error.kind, &*error.message), (ErrorKind::Invalid, "no"));
    }

    #[test]
    fn a_program_that_is_not_installed_says_how_to_install_it() {
        let empty = tempfile::tempdir().unwrap();
        let error = on_path("ffmpeg", empty.path().as_os_str()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains("apt-get install ffmpeg"), "{error}");
        let error = beside(&empty.path().join("ffmpeg"), "ffprobe").unwrap_err();
        assert!(
            error.message.contains(VARIABLE) && error.message.contains("ffprobe"),
            "{error}"
        );
    }

    #[test]
    fn a_named_program_is_found_with_its_sibling() {
        let folder = tempfile::tempdir().unwrap();
        for program in ["ffmpeg", "ffprobe"] {
            std::fs::write(folder.path().join(program), "").unwrap();
            let expected = folder.path().join(program);
            assert_eq!(beside(&folder.path().join("ffmpeg"), program).unwrap(), expected);
            assert_eq!(on_path(program, folder.path().as_os_str()).unwrap(), expected);
        }
    }
}
