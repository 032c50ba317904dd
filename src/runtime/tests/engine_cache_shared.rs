//! What processes that share an engine cache tell each other: who builds, and what failed.
//!
//! The other processes are this test program itself, started for one test with a role.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use tfjet_bundle::EngineHeader;
use tfjet_runtime::{BuildFailure, EngineCache, EngineKey};

const ROLE: &str = "TFJET_TEST_ROLE";
const FOLDER: &str = "TFJET_TEST_FOLDER";
const HOUR: Duration = Duration::from_secs(3600);

fn folder() -> (TempDir, EngineCache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = EngineCache::open(folder.path()).unwrap();
    (folder, cache)
}

fn header() -> EngineHeader {
    EngineHeader {
        library: "trt8.5.2".into(),
        precision: "fp16".into(),
        key: [7; 32],
        ..EngineHeader::default()
    }
}

const KEY: EngineKey = EngineKey([7; 32]);

/// Starts this program for one of its tests, where `role` gives the folder.
fn start(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, test)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The cache that a process started for `test` is to use.
fn role(test: &str) -> Option<EngineCache> {
    std::env::var(ROLE).ok().filter(|role| role == test)?;
    Some(EngineCache::at(Path::new(&std::env::var_os(FOLDER)?)))
}

/// Waits until a process prints `word` at the end of a line.
fn wait_for(child: &mut Child, word: &str) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(word)));
}

fn say(word: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{word}").unwrap();
    stdout.flush().unwrap();
}

#[test]
fn processes_that_start_together_build_an_engine_once() {
    const TEST: &str = "processes_that_start_together_build_an_engine_once";
    if let Some(cache) = role(TEST) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let lock = cache.lock(&KEY, || Instant::now() > deadline).unwrap();
        let _lock = lock.unwrap();
        if cache.get(&KEY).unwrap().is_none() {
            let log = cache.dir().join("builds");
            let mut log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .unwrap();
            writeln!(log, "built").unwrap();
            thread::sleep(Duration::from_millis(300));
            cache.put(&header(), b"engine").unwrap();
        }
        assert_eq!(cache.get(&KEY).unwrap().unwrap().bytes(), b"engine");
        return;
    }
    let (folder, cache) = folder();
    let children: Vec<Child> = (0..4).map(|_| start(TEST, folder.path())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let builds = fs::read_to_string(folder.path().join("builds")).unwrap();
    assert_eq!(builds, "built\n");
    assert!(cache.get(&KEY).unwrap().is_some());
    assert!(!folder.path().join(format!("{KEY}.lock")).exists());
}

#[test]
fn no_two_processes_ever_have_the_right_at_once() {
    const TEST: &str = "no_two_processes_ever_have_the_right_at_once";
    if let Some(cache) = role(TEST) {
        let inside = cache.dir().join("inside");
        for _ in 0..1500 {
            let lock = loop {
                match cache.try_lock(&KEY).unwrap() {
                    Some(lock) => break lock,
                    None => thread::yield_now(),
                }
            };
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&inside);
            file.expect("another process is inside");
            fs::remove_file(&inside).unwrap();
            drop(lock);
        }
        return;
    }
    let (folder, _) = folder();
    let children: Vec<Child> = (0..6).map(|_| start(TEST, folder.path())).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_process_that_is_killed_leaves_the_right_to_others() {
    const TEST: &str = "a_process_that_is_killed_leaves_the_right_to_others";
    if let Some(cache) = role(TEST) {
        let _lock = cache.try_lock(&KEY).unwrap().unwrap();
        say("locked");
        thread::sleep(Duration::from_secs(600));
        return;
    }
    let (folder, cache) = folder();
    let mut child = start(TEST, folder.path());
    wait_for(&mut child, "locked");
    assert!(cache.try_lock(&KEY).unwrap().is_none());
    assert!(cache.try_lock(&EngineKey([8; 32])).unwrap().is_some());
    let mut asked = 0;
    let gives_up = || {
        asked += 1;
        asked == 3
    };
    assert!(cache.lock(&KEY, gives_up).unwrap().is_none());
    assert_eq!(asked, 3);
    child.kill().unwrap();
    child.wait().unwrap();
    let lock = cache.try_lock(&KEY).unwrap();
    assert!(lock.is_some());
    assert!(
        cache.try_lock(&KEY).unwrap().is_none(),
        "nor twice in one process"
    );
    drop(lock);
    assert!(cache.try_lock(&KEY).unwrap().is_some());
}

#[test]
fn what_cannot_be_locked_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cache = EngineCache::at(&folder.path().join("absent"));
    let error = cache.try_lock(&KEY).unwrap_err().to_string();
    assert!(error.contains(&format!("absent/{KEY}.lock")), "{error}");
    let (folder, cache) = self::folder();
    fs::create_dir(folder.path().join(format!("{KEY}.lock"))).unwrap();
    assert!(cache.lock(&KEY, || false).is_err());
}

#[test]
fn a_failed_build_is_known_to_other_processes() {
    const TEST: &str = "a_failed_build_is_known_to_other_processes";
    let reason = "Killed (SIGKILL): memory ran out";
    if let Some(cache) = role(TEST) {
        let failure = BuildFailure::now(reason);
        cache.set_failure(&KEY, &failure).unwrap();
        return;
    }
    let (folder, cache) = folder();
    assert_eq!(cache.failure(&KEY, HOUR), None);
    let before = SystemTime::now() - Duration::from_millis(1);
    let output = start(TEST, folder.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let failure = cache.failure(&KEY, HOUR).unwrap();
    assert_eq!(failure.reason, reason);
    assert!(failure.at >= before && failure.at <= SystemTime::now());
    assert_eq!(cache.failure(&EngineKey([8; 32]), HOUR), None);

    cache.put(&header(), b"engine").unwrap();
    assert_eq!(cache.failure(&KEY, HOUR), None, "it was built after all");
    cache.set_failure(&KEY, &failure).unwrap();
    cache.clear_failure(&KEY);
    cache.clear_failure(&KEY);
    assert_eq!(cache.failure(&KEY, HOUR), None);
}

#[test]
fn failed_builds_expire() {
    let (_folder, cache) = folder();
    let now = SystemTime::now();
    for (at, is_remembered) in [
        (now, true),
        (now - HOUR / 2, true),
        (now - HOUR, false),
        (now + HOUR, false),
        (SystemTime::UNIX_EPOCH, false),
        (SystemTime::UNIX_EPOCH - HOUR, false),
    ] {
        let reason = "no tactic".into();
        cache
            .set_failure(&KEY, &BuildFailure { reason, at })
            .unwrap();
        assert_eq!(cache.failure(&KEY, HOUR).is_some(), is_remembered, "{at:?}");
        assert_eq!(cache.failure(&KEY, Duration::ZERO), None);
    }
}

#[test]
fn a_reason_is_one_line_of_a_bounded_length() {
    let (_folder, cache) = folder();
    for (reason, kept) in [
        ("", ""),
        ("a\nb\r\nc\u{7}", "a b  c "),
        ("für Größe 3×3", "für Größe 3×3"),
        (&"é".repeat(9999), &"é".repeat(2048)),
        (
            &format!("x{}", "é".repeat(9999)),
            &format!("x{}", "é".repeat(2047)),
        ),
    ] {
        cache.set_failure(&KEY, &BuildFailure::now(reason)).unwrap();
        assert_eq!(cache.failure(&KEY, HOUR).unwrap().reason, kept);
    }
}

#[test]
fn a_damaged_record_of_a_failure_counts_as_none() {
    let (folder, cache) = folder();
    cache
        .set_failure(&KEY, &BuildFailure::now("no tactic"))
        .unwrap();
    let path = folder.path().join(format!("{KEY}.failed"));
    let good = fs::read(&path).unwrap();
    let other = folder.path().join(format!("{}.failed", EngineKey([8; 32])));
    fs::write(&other, &good).unwrap();
    assert_eq!(cache.failure(&EngineKey([8; 32]), HOUR), None, "another's");
    for at in 0..good.len() {
        fs::write(&path, &good[..at]).unwrap();
        assert_eq!(cache.failure(&KEY, HOUR), None, "cut at {at}");
        let mut changed = good.clone();
        changed[at] ^= 0x11;
        fs::write(&path, changed).unwrap();
        assert_eq!(cache.failure(&KEY, HOUR), None, "changed at {at}");
    }
    fs::write(&path, vec![b'\n'; 1 << 20]).unwrap();
    assert_eq!(cache.failure(&KEY, HOUR), None);
    fs::write(&path, good).unwrap();
    assert!(cache.failure(&KEY, HOUR).is_some());
}
