//! The package clients: what each is called, how it is asked, and what to do where it is absent.

use super::Package;
use std::path::Path;
use std::process::Command;

/// The kinds of packages, each with the client that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Client {
    /// A wheel of the Python package index, with pip.
    Wheel,
    /// A source distribution of the Python package index, with pip.
    ///
    /// pip asks a source package for its metadata by running its setup code. It does so only after
    /// it has compared the file with the checksum it is given, so that no code but the known one
    /// runs; what that code needs to run (setuptools) pip gets from the same index.
    SourceDistribution,
    /// A package of the npm registry, with npm; its scripts are not run.
    Npm,
    /// A binary package of Debian, with apt-get; nothing is installed.
    Debian,
}

/// Where the requirement with its checksum is written, in the folder of the download.
const REQUIREMENT: &str = "requirement.txt";

impl Client {
    /// The ways to call the client, in the order they are tried.
    pub fn programs(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Wheel | Self::SourceDistribution => &[&["python3", "-m", "pip"], &["pip3"], &["pip"]],
            Self::Npm if cfg!(windows) => &[&["npm.cmd"]],
            Self::Npm => &[&["npm"]],
            Self::Debian => &[&["apt-get"]],
        }
    }

    /// The end of the name of the file that the client leaves.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Wheel => ".whl",
            Self::SourceDistribution => ".tar.gz",
            Self::Npm => ".tgz",
            Self::Debian => ".deb",
        }
    }

    /// Whether the client goes on with what an interrupted call has left in its folder.
    pub fn resumes(self) -> bool {
        self == Self::Debian
    }

    /// What to do where no such client is installed.
    pub fn absent(self) -> &'static str {
        match self {
            Self::Wheel | Self::SourceDistribution => {
                "expected a Python package client, found none of `python3 -m pip`, `pip3` and `pip`; \
                 install Python 3 with pip (on Debian: apt-get install python3-pip)"
            }
            Self::Npm => {
                "expected the client `npm`, found none; install Node.js with npm (on Debian: apt-get install npm)"
            }
            Self::Debian => "expected the client `apt-get`, found none; fetch this set on Debian or Ubuntu",
        }
    }

    /// What to look at where the client fails.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Wheel | Self::SourceDistribution => {
                "check the network, the proxy and the client's own configuration (`pip config list`)"
            }
            Self::Npm => "check the network, the proxy and the client's own configuration (`npm config list`)",
            Self::Debian => "run `apt-get update` as root and check the network and the sources of packages",
        }
    }

    /// A call of `program` that downloads `package` into the folder it runs in.
    pub fn command(self, program: &[&str], package: &Package, folder: &Path) -> Command {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(self.arguments(package));
        command.current_dir(folder);
        // The messages that are looked for are the untranslated ones; pip writes what has arrived
        // so far into the temporary folder, where it can be measured.
        command.env("LC_ALL", "C").env("TMPDIR", folder);
        command
    }

    fn arguments(self, package: &Package) -> Vec<String> {
        let Package { name, version, .. } = package;
        let fixed: &[&str] = match self {
            // A source package in the place of the wheel would run its own code.
            Self::Wheel => &["--only-binary=:all:"],
            Self::SourceDistribution => &["--require-hashes", "-r", REQUIREMENT],
            Self::Npm => &[
                "pack",
                "--ignore-scripts",
                "--pack-destination=.",
                // Of its own, so that what has arrived can be measured.
                "--cache=cache",
                "--fetch-retries=4",
                "--loglevel=error",
            ],
            Self::Debian => &["download", "-q", "-oAcquire::Retries=4"],
        };
        let pip = [
            "download",
            "--no-deps",
            "--no-input",
            "--disable-pip-version-check",
            "--timeout=15",
            "--retries=2",
            "-d.",
        ];
        let wanted = match self {
            Self::Wheel => format!("{name}=={version}"),
            Self::SourceDistribution => format!("--no-binary={name}"),
            Self::Npm => format!("{name}@{version}"),
            Self::Debian => format!("{name}={version}"),
        };
        let shared = match self {
            Self::Wheel | Self::SourceDistribution => &pip[..],
            Self::Npm | Self::Debian => &[],
        };
        let all = shared.iter().chain(fixed).map(|part| part.to_string());
        all.chain([wanted]).collect()
    }

    /// A file that the client reads, with its content.
    pub fn input(self, package: &Package) -> Option<(&'static str, String)> {
        let Package {
            name, version, sha256, ..
        } = package;
        let content = format!("{name}=={version} --hash=sha256:{sha256}\n");
        (self == Self::SourceDistribution).then_some((REQUIREMENT, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(client: Client, name: &'static str, expected: &str) {
        let package = Package {
            client,
            name,
            version: "1.0",
            sha256: "ab",
            bytes: 1,
        };
        let command = client.command(client.programs()[0], &package, Path::new("/x"));
        let arguments: Vec<_> = command.get_args().map(|part| part.to_str().unwrap()).collect();
        let call = format!("{} {}", command.get_program().to_str().unwrap(), arguments.join(" "));
        assert_eq!(call, expected);
        assert_eq!(command.get_current_dir(), Some(Path::new("/x")));
    }

    #[cfg(unix)]
    #[test]
    fn each_client_is_asked_for_one_version_and_no_code() {
        let pip =
            "python3 -m pip download --no-deps --no-input --disable-pip-version-check --timeout=15 --retries=2 -d.";
        check(Client::Wheel, "a", &format!("{pip} --only-binary=:all: a==1.0"));
        let source = format!("{pip} --require-hashes -r requirement.txt --no-binary=a");
        check(Client::SourceDistribution, "a", &source);
        let npm = "npm pack --ignore-scripts --pack-destination=. --cache=cache --fetch-retries=4 --loglevel=error";
        check(Client::Npm, "@a/b", &format!("{npm} @a/b@1.0"));
        check(Client::Debian, "a", "apt-get download -q -oAcquire::Retries=4 a=1.0");
    }
}
