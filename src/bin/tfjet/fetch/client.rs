use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::FetchError;
use super::manifest::{Client, Package};

/// Lets the package's own client download the archive into the new directory `dir`.
pub(super) fn download(package: &Package, dir: &Path) -> Result<PathBuf, FetchError> {
    fs::create_dir_all(dir).map_err(FetchError::at(dir))?;
    match package.client {
        Client::Npm => npm(package, dir),
        Client::Pypi if package.sdist => sdist(package, dir),
        Client::Pypi => wheel(package, dir),
        Client::Debian => debian(package, dir),
    }?;
    let mut files = fs::read_dir(dir).map_err(FetchError::at(dir))?;
    match files.next() {
        Some(file) => Ok(file.map_err(FetchError::at(dir))?.path()),
        None => Err(FetchError::Client {
            client: package.client.program(),
            package: package.describe(),
            line: "it ended well but left no file".into(),
        }),
    }
}

/// Runs a recipe's script: `python3 SCRIPT INPUT... OUTPUT`.
pub(super) fn run_recipe(
    script: &Path,
    inputs: &[PathBuf],
    output: &Path,
    name: &str,
) -> Result<(), FetchError> {
    let mut command = Command::new("python3");
    command.arg("-I").arg(script).args(inputs).arg(output);
    let done = finish(&mut command, "python3", "python3")?;
    if done.status.success() {
        return Ok(());
    }
    Err(FetchError::Recipe {
        script: name.into(),
        line: last_line(&String::from_utf8_lossy(&done.stderr)).into(),
    })
}

/// An error of `Command::spawn`: mostly that the program is not there.
pub(super) fn spawn_error(
    client: &'static str,
    package: &'static str,
    source: io::Error,
) -> FetchError {
    if source.kind() == io::ErrorKind::NotFound {
        FetchError::MissingClient { client, package }
    } else {
        FetchError::Io {
            path: client.into(),
            source,
        }
    }
}

impl Client {
    /// The client's name, as it is registered.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pypi => "PyPI",
            Self::Debian => "Debian",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pypi => "pip",
            Self::Debian => "apt-get",
        }
    }
}

impl Package {
    /// Registry, name and version, for messages.
    pub(super) fn describe(&self) -> String {
        format!("{} {} {}", self.client.name(), self.name, self.version)
    }
}

fn npm(package: &Package, dir: &Path) -> Result<(), FetchError> {
    let mut command = Command::new("npm");
    command
        .args(["pack", "--ignore-scripts", "--prefer-offline"])
        .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000"])
        .arg(format!("{}@{}", package.name, package.version))
        .arg("--pack-destination")
        .arg(dir)
        .current_dir(dir);
    succeed(&mut command, package, "npm")
}

fn wheel(package: &Package, dir: &Path) -> Result<(), FetchError> {
    let mut command = pip_download("python3".as_ref(), package, dir);
    command.arg("--only-binary=:all:");
    if let Some(python) = &package.python {
        command.args(["--python-version", python]);
    }
    if let Some(platform) = &package.platform {
        command.args(["--platform", platform]);
    }
    succeed(&mut command, package, "python3-pip")
}

fn sdist(package: &Package, dir: &Path) -> Result<(), FetchError> {
    let venv = dir.with_file_name("venv");
    let python = venv.join("bin/python");
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    succeed(&mut make, package, "python3-venv")?;
    let mut install = Command::new(&python);
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--retries=2",
            "--only-binary=:all:",
        ])
        .arg("--disable-pip-version-check")
        .args(&package.build_requires);
    succeed(&mut install, package, "python3-venv")?;
    let mut command = pip_download(python.as_os_str(), package, dir);
    command.args(["--no-build-isolation", "--no-binary=:all:"]);
    succeed(&mut command, package, "python3-venv")
}

fn pip_download(python: &OsStr, package: &Package, dir: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--no-deps",
            "--retries=2",
        ])
        .arg("--disable-pip-version-check")
        .arg("--dest")
        .arg(dir)
        .arg(format!("{}=={}", package.name, package.version));
    command
}

fn debian(package: &Package, dir: &Path) -> Result<(), FetchError> {
    let mut command = Command::new("apt-get");
    // Every release carries one version of its own.
    command.args(["-q", "download", &package.name]);
    command.current_dir(dir);
    succeed(&mut command, package, "apt")
}

/// Runs a client; `debian` is the Debian package that has it.
fn succeed(
    command: &mut Command,
    package: &Package,
    debian: &'static str,
) -> Result<(), FetchError> {
    let client = package.client.program();
    let done = finish(command, client, debian)?;
    if done.status.success() {
        return Ok(());
    }
    // `venv` explains itself on standard output.
    let text = [done.stdout, done.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    if text.contains("No module named pip") || text.contains("ensurepip is not") {
        return Err(FetchError::MissingClient {
            client,
            package: debian,
        });
    }
    Err(FetchError::Client {
        client,
        package: package.describe(),
        line: telling_line(package.client, &text),
    })
}

fn finish(
    command: &mut Command,
    client: &'static str,
    debian: &'static str,
) -> Result<Output, FetchError> {
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
        .output()
        .map_err(|error| spawn_error(client, debian, error))
}

/// What the clients say, somewhere, where the registry cannot be reached. pip's last line then only
/// says that it found no such package.
const NO_NETWORK: [&str; 7] = [
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "EAI_AGAIN",
    "ENOTFOUND",
    "ECONNREFUSED",
    "Temporary failure resolving",
];

/// The line of a client's output that says why it gave up.
fn telling_line(client: Client, text: &str) -> String {
    let lines = || text.lines().map(str::trim);
    let found = match client {
        Client::Npm => lines()
            .filter_map(|line| {
                line.strip_prefix("npm error ")
                    .or(line.strip_prefix("npm ERR! "))
            })
            .find(|line| {
                !["code ", "errno ", "syscall ", "type "]
                    .iter()
                    .any(|prefix| line.starts_with(prefix))
            }),
        Client::Pypi => lines()
            .rev()
            .find_map(|line| line.strip_prefix("ERROR: "))
            .or_else(|| lines().rev().find_map(|line| line.strip_prefix("error: "))),
        Client::Debian => lines().rev().find_map(|line| line.strip_prefix("E: ")),
    };
    let line = found.unwrap_or_else(|| last_line(text));
    if NO_NETWORK.iter().any(|word| text.contains(word)) {
        format!("no network ({line})")
    } else {
        line.into()
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("it gave no reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_reason_is_found() {
        let npm = "npm warn x\nnpm error code ETARGET\nnpm error notarget No matching version\nnpm error A log";
        let pip = "WARNING: Retrying\nERROR: Could not find\nERROR: No matching distribution\n\n";
        let apt = "Reading lists...\nE: Unable to locate package nonono\n";
        for (client, text, expected) in [
            (Client::Npm, npm, "notarget No matching version"),
            (Client::Pypi, pip, "No matching distribution"),
            (Client::Debian, apt, "Unable to locate package nonono"),
            (Client::Debian, "killed\n", "killed"),
            (Client::Pypi, "", "it gave no reason"),
            (
                Client::Pypi,
                "WARNING: Retrying after NewConnectionError\nERROR: No matching\n",
                "no network (No matching)",
            ),
        ] {
            assert_eq!(telling_line(client, text), expected);
        }
    }

    #[test]
    fn a_missing_program_names_the_package_that_has_it() {
        let error = finish(&mut Command::new("/nonexistent/npm"), "npm", "npm").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`npm` is missing; Debian's package `npm` has it"
        );
        assert_eq!(error.exit_code(), 4);
    }
}
