//! The service under a running systemd: a user manager of its own in namespaces of its own, so that
//! it needs neither the machine's systemd nor its consent, only root.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Graph, convert, folder, root};

/// Keys of the unit that say how the process is started, watched and ended. The others make the
/// sandbox, which a user manager cannot.
const KEYS: [&str; 10] = [
    "Type",
    "NotifyAccess",
    "ExecStart",
    "ExecReload",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "WatchdogSec",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
];

/// The unit, of which only `KEYS` are kept, for the program of this build, with times that a test
/// can wait for.
fn unit(folder: &Path) -> String {
    let unit = std::fs::read_to_string(root().join("systemd/tfjet@.service")).unwrap();
    let mut found = BTreeMap::new();
    for line in unit.lines() {
        if let Some((key, value)) = line.split_once('=')
            && KEYS.contains(&key)
        {
            found.insert(key, value.to_owned());
        }
    }
    assert_eq!(found.len(), KEYS.len(), "{found:?}");
    let start = found.get_mut("ExecStart").unwrap();
    *start = start
        .replace("/usr/local/bin/tfjet-run", env!("CARGO_BIN_EXE_tfjet-run"))
        .replace("/etc/tfjet", folder.to_str().unwrap());
    for (key, short) in [("WatchdogSec", "2"), ("RestartSec", "0.2")] {
        assert!(found[key].parse::<f64>().unwrap() >= short.parse().unwrap());
        found.insert(key, short.into());
    }
    let lines: Vec<String> = found
        .iter()
        .map(|(key, it)| format!("{key}={it}"))
        .collect();
    format!("[Service]\n{}\n", lines.join("\n"))
}

/// Answers of the script: `KEY VALUE` lines.
fn answers(folder: &Path) -> Option<BTreeMap<String, String>> {
    let begin = Instant::now();
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "bash"])
        .arg(root().join("tests/under_systemd.sh"))
        .arg(folder)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: unshare: {error}");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if let Some(reason) = text.lines().find_map(|line| line.strip_prefix("SKIPPED ")) {
        eprintln!("SKIPPED: no systemd to run the unit under: {reason}");
        return None;
    }
    if errors.contains("Operation not permitted") && !text.contains("ready") {
        eprintln!("SKIPPED: namespaces need root: {}", errors.trim());
        return None;
    }
    assert!(output.status.success(), "{text}{errors}");
    assert!(begin.elapsed() < Duration::from_secs(90));
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Some(
        pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect(),
    )
}

#[test]
fn systemd_waits_watches_and_restarts() {
    let folder = folder();
    let graph = Graph::new()
        .placeholder("image", "DT_FLOAT", &[1, 8, 16, 3])
        .constant("axes", "DT_INT32", &[2], "int_val: 1 int_val: 2")
        .node(
            "mean",
            "Mean",
            &["image", "axes"],
            &[
                ("T", "type: DT_FLOAT"),
                ("Tidx", "type: DT_INT32"),
                ("keep_dims", "b: false"),
            ],
        );
    let model = graph.write(folder.path(), "model.pbtxt");
    let flags = "--min-segment-size 99 --allow-residual-only --image-size 16x8 --decoder classify";
    convert(
        &model,
        &folder.path().join("model.jet"),
        &format!("{flags} --top-k 3"),
    );
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("labels.txt", "red\ngreen\nblue\n");
    let common = "bundle = \"model.jet\"\nlabels = \"labels.txt\"\n";
    let pattern = "videotestsrc:pattern=red,is-live=true,width=16,height=8,framerate=20/1";
    write("steady.toml", &format!("{common}source = \"{pattern}\"\n"));
    // Nothing listens at port 1: the camera is away all the time.
    write(
        "away.toml",
        &format!("{common}source = \"rtsp://127.0.0.1:1/door\"\nsource_timeout = 6\n"),
    );
    write("wrong.toml", &format!("{common}sorce = \"{pattern}\"\n"));
    write("tfjet@.service", &unit(folder.path()));
    let Some(found) = answers(folder.path()) else {
        return;
    };
    let number = |key: &str| -> f64 {
        found[key]
            .parse()
            .unwrap_or_else(|_| panic!("{key}: {found:?}"))
    };
    let text = |key: &str| found[key].as_str();

    assert_eq!(text("steady-state"), "active", "{found:?}");
    assert!(
        text("steady-status").contains("fps") || !text("steady-status").is_empty(),
        "{found:?}"
    );
    assert_eq!(text("steady-reload"), "0", "{found:?}");
    assert_eq!(number("steady-restarts-before"), 0.0, "{found:?}");
    assert_eq!(number("steady-restarts-after-hang"), 1.0, "{found:?}");
    assert_ne!(text("steady-pid-before"), text("steady-pid-after-hang"));
    assert_eq!(text("steady-state-after-hang"), "active", "{found:?}");
    assert!(number("steady-stop-seconds") < 2.0, "{found:?}");
    assert_eq!(text("steady-result"), "success", "{found:?}");

    // Twice WatchdogSec without a frame, and still the first process.
    assert_eq!(text("away-state"), "active", "{found:?}");
    assert_eq!(number("away-restarts-while-waiting"), 0.0, "{found:?}");
    assert!(
        number("away-restarts-after-source-timeout") >= 1.0,
        "{found:?}"
    );

    assert_eq!(text("wrong-state"), "failed", "{found:?}");
    assert_eq!(number("wrong-restarts"), 0.0, "{found:?}");
    assert_eq!(text("wrong-code"), "2", "{found:?}");
}
