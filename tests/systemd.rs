//! The service's files: what systemd says of the unit, and the script that puts it in place.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Highest exposure that the unit may have, in tenths.
const MOST_EXPOSURE: &str = "35";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn unit() -> String {
    fs::read_to_string(repository().join("systemd/tfjet@.service")).unwrap()
}

fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    text
}

/// Runs `systemd-analyze`; `None` where it is not installed.
fn analyze(arguments: &[&str], path: &Path) -> Option<Output> {
    match Command::new("systemd-analyze")
        .args(arguments)
        .arg(path)
        .output()
    {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: systemd-analyze {}: {error}", arguments[0]);
            None
        }
    }
}

/// The unit as an instance, with each drop-in, in a folder of its own. `executable` stands for
/// tfjet-run, which is not installed.
fn instances(folder: &Path, executable: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for jetpack in ["none", "4", "5", "6"] {
        let place = folder.join(jetpack);
        fs::create_dir_all(&place).unwrap();
        let file = place.join("tfjet@door.service");
        let text = unit().replace("/usr/local/bin/tfjet-run", executable);
        fs::write(&file, text).unwrap();
        if jetpack != "none" {
            let drop_in = repository().join(format!("systemd/jetpack-{jetpack}/10-jetpack.conf"));
            let folder = place.join("tfjet@door.service.d");
            fs::create_dir_all(&folder).unwrap();
            fs::copy(drop_in, folder.join("10-jetpack.conf")).unwrap();
        }
        files.push(file);
    }
    files
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    for file in instances(folder.path(), "/bin/true") {
        let Some(output) = analyze(&["verify", "--man=no"], &file) else {
            return;
        };
        let said = text(&output);
        // Units of this machine that are in the way of its own are not ours.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("tfjet")).collect();
        assert!(
            output.status.success() && ours.is_empty(),
            "{}: {said}",
            file.display()
        );
    }
}

#[test]
fn the_unit_is_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    for file in instances(folder.path(), "/bin/true") {
        let threshold = format!("--threshold={MOST_EXPOSURE}");
        let arguments = ["security", "--offline=true", "--no-pager", &threshold];
        let Some(output) = analyze(&arguments, &file) else {
            return;
        };
        let said = text(&output);
        if said.contains("unrecognized option") {
            eprintln!("SKIPPED: this systemd-analyze cannot judge a unit that is not loaded");
            return;
        }
        assert!(output.status.success(), "{}: {said}", file.display());
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn the_unit_says_what_the_service_relies_on() {
    let unit = unit();
    for line in [
        "Type=notify",
        "ExecStart=/usr/local/bin/tfjet-run serve --config /etc/tfjet/%i.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "PrivateTmp=no",
        "StateDirectory=tfjet",
        "CacheDirectory=tfjet",
        "Environment=TFJET_CACHE=/var/cache/tfjet",
    ] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
    assert!(unit.lines().any(|line| line.starts_with("WatchdogSec=")));
}

/// Runs the script below a root of its own.
fn install(root: &Path, arguments: &[&str]) -> Output {
    Command::new("bash")
        .arg(repository().join("systemd/install.sh"))
        .arg("--root")
        .arg(root)
        .args(arguments)
        .output()
        .expect("bash is there")
}

/// All files below a folder with their contents and times of change.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let changed = fs::metadata(&path).unwrap().modified().unwrap();
                found.push((path.clone(), fs::read(&path).unwrap(), changed));
            }
        }
    }
    found.sort();
    found
}

struct Machine(tempfile::TempDir);

impl Machine {
    fn new(release: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Self(folder);
        machine.write("root/etc/nv_tegra_release", release);
        machine.write("tfjet-run", "#!/bin/true\n");
        machine.write("door.toml", "bundle = \"door.jet\"\n");
        machine.write("door.jet", "a bundle");
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn install(&self, more: &[&str]) -> Output {
        let path = |name: &str| self.path(name).display().to_string();
        let (binary, config, bundle) = (path("tfjet-run"), path("door.toml"), path("door.jet"));
        let mut arguments = vec!["--binary", &binary, "--name", "door", "--config", &config];
        arguments.extend(["--bundle", &bundle]);
        arguments.extend(more);
        install(&self.path("root"), &arguments)
    }
}

#[test]
fn the_second_installation_changes_nothing() {
    let machine = Machine::new("# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref");
    let first = machine.install(&[]);
    assert!(first.status.success(), "{}", text(&first));
    let root = machine.path("root");
    for path in [
        "usr/local/bin/tfjet-run",
        "etc/systemd/system/tfjet@.service",
        "etc/systemd/system/tfjet@.service.d/10-jetpack.conf",
        "usr/lib/sysusers.d/tfjet.conf",
        "etc/tfjet/door.toml",
        "var/lib/tfjet/bundles/door.jet",
    ] {
        assert!(root.join(path).is_file(), "{path}");
    }
    let drop_in = root.join("etc/systemd/system/tfjet@.service.d/10-jetpack.conf");
    let drop_in = fs::read_to_string(drop_in).unwrap();
    assert!(drop_in.contains("JetPack 5"), "{drop_in}");
    let before = files(&root);
    let second = machine.install(&[]);
    assert!(second.status.success(), "{}", text(&second));
    assert!(!text(&second).contains("wrote"), "{}", text(&second));
    assert_eq!(files(&root), before);
}

#[test]
fn a_configuration_that_is_there_is_kept() {
    let machine = Machine::new("# R32 (release), REVISION: 7.6, GCID: 1");
    assert!(machine.install(&[]).status.success());
    let config = machine.path("root/etc/tfjet/door.toml");
    fs::write(&config, "mine = true\n").unwrap();
    let again = machine.install(&[]);
    assert!(again.status.success() && text(&again).contains("door.toml.new"));
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine = true\n");
    let beside = fs::read_to_string(config.with_extension("toml.new")).unwrap();
    assert_eq!(beside, "bundle = \"door.jet\"\n");
}

#[test]
fn a_new_binary_takes_the_old_ones_place_at_once() {
    let machine = Machine::new("# R36 (release), REVISION: 4.0");
    assert!(machine.install(&[]).status.success());
    let binary = machine.path("root/usr/local/bin/tfjet-run");
    // A running program keeps the file that it was started from.
    let held = fs::File::open(&binary).unwrap();
    machine.write("tfjet-run", "#!/bin/false\n");
    assert!(machine.install(&[]).status.success());
    assert_eq!(fs::read_to_string(&binary).unwrap(), "#!/bin/false\n");
    assert_eq!(std::io::read_to_string(held).unwrap(), "#!/bin/true\n");
    let names: Vec<_> = fs::read_dir(binary.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left beside it");
}

#[test]
fn what_goes_wrong_is_said() {
    let machine = Machine::new("# R99 (release), REVISION: 1.0");
    let unknown = machine.install(&[]);
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown));
    assert!(text(&unknown).contains("R99"));
    assert!(machine.install(&["--jetpack", "none"]).status.success());
    let empty = tempfile::tempdir().unwrap();
    for (arguments, code, word) in [
        (&["--frob"][..], 2, "--frob"),
        (&["--jetpack", "3"], 2, "`3`"),
        (&["--name", "a/b", "--binary", "/bin/true"], 2, "a/b"),
        (&["--config", "/etc/hostname"], 2, "--name"),
        (&["--binary", "/nowhere/tfjet-run"], 2, "/nowhere/tfjet-run"),
        (&["--binary"], 2, "value"),
        (&["--start", "--name", "x"], 2, "--root"),
        (&["--uninstall", "--name", "x"], 2, "--uninstall"),
        (&["--jetpack", "none"], 3, "--binary"),
    ] {
        let output = install(empty.path(), arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
        assert!(files(empty.path()).is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_dry_run_writes_nothing_and_uninstalling_leaves_the_users_files() {
    let machine = Machine::new("# R39 (release), REVISION: 2.0");
    let root = machine.path("root");
    let before = files(&root);
    let dry = machine.install(&["--dry-run"]);
    assert!(dry.status.success(), "{}", text(&dry));
    assert_eq!(files(&root), before);
    assert!(machine.install(&[]).status.success());
    let gone = install(&root, &["--uninstall"]);
    assert!(gone.status.success(), "{}", text(&gone));
    let left: Vec<_> = files(&root).into_iter().map(|(path, ..)| path).collect();
    assert_eq!(
        left,
        [
            root.join("etc/nv_tegra_release"),
            root.join("etc/tfjet/door.toml"),
            root.join("var/lib/tfjet/bundles/door.jet"),
        ]
    );
}
