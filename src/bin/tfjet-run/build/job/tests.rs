use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use tempfile::TempDir;

use super::*;

/// Runs a job whose builder is this shell script; `$ENGINE` is where the engine goes.
fn run(script: &str, stop: &AtomicBool) -> (anyhow::Result<Built>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("engine");
    let builder = folder.path().join("builder");
    let text = format!("#!/bin/sh\nENGINE='{}'\n{script}\n", engine.display());
    fs::write(&builder, text).unwrap();
    fs::set_permissions(&builder, fs::Permissions::from_mode(0o755)).unwrap();
    let job = Job {
        segment: "segment 3 (`head`)".into(),
        executable: &builder,
        arguments: vec!["--segment".into(), "3".into()],
        timing: folder.path().join("timing"),
        log: folder.path().join("build.log"),
        engine,
    };
    (job.run(Progress::quiet(), stop), folder)
}

/// The error of a script, without the place of its log.
fn error(script: &str) -> (String, u8) {
    let (result, folder) = run(script, &AtomicBool::new(false));
    let error = result.err().expect("the build fails");
    let is_killed = ["kill -TERM", "kill -INT", "kill -HUP"]
        .iter()
        .any(|it| script.contains(it));
    assert_eq!(error.is::<Interrupted>(), is_killed, "{script}");
    let (text, code) = (exit::one_line(&error), exit::code(&error));
    let log = format!(" (log: {})", folder.path().join("build.log").display());
    let text = text
        .strip_prefix("segment 3 (`head`): ")
        .expect("the segment is named");
    (
        text.strip_suffix(&log)
            .expect("the log is named")
            .to_owned(),
        code,
    )
}

#[test]
fn a_process_that_dies_is_an_error_with_its_reason() {
    for (script, expected, code) in [
        (
            "kill -9 $$",
            "the build was killed (SIGKILL), most likely because memory ran out: stop other \
             programs, add swap, or give a smaller --workspace",
            exit::NOT_PREPARED,
        ),
        (
            "kill -SEGV $$",
            "the build crashed inside the library (SIGSEGV)",
            exit::NOT_PREPARED,
        ),
        (
            "kill -ABRT $$",
            "the build crashed inside the library (SIGABRT)",
            exit::NOT_PREPARED,
        ),
        (
            "kill -TERM $$",
            "the build was ended by SIGTERM",
            exit::NOT_PREPARED,
        ),
        (
            "printf engine > $ENGINE; exit 9",
            "the building process ended with exit code 9",
            exit::NOT_PREPARED,
        ),
        (
            r#"echo '{"error":{"text":"no such layer","code":3}}'; exit 3"#,
            "no such layer",
            exit::BAD_INPUT,
        ),
        (
            r#"echo '{"error":{"text":"out of memory","code":3}}'; kill -9 $$"#,
            "the build was killed (SIGKILL), most likely because memory ran out: stop other \
             programs, add swap, or give a smaller --workspace",
            exit::NOT_PREPARED,
        ),
        (
            "exit 0",
            "the building process ended well and left no engine",
            exit::NOT_PREPARED,
        ),
        (
            ": > $ENGINE",
            "the building process ended well and left no engine",
            exit::NOT_PREPARED,
        ),
    ] {
        assert_eq!(error(script), (expected.to_owned(), code), "{script}");
    }
}

#[test]
fn an_engine_is_read_after_other_words_and_its_log_is_kept() {
    let script = r#"
        echo 'the library says hello'
        echo '{"progress":{"phase":"tactics","step":1,"steps":2}}'
        echo "$1 $2 $3" >&2
        head -c 100000 /dev/zero | tr '\0' 'x'
        printf engine > $ENGINE"#;
    let (result, folder) = run(script, &AtomicBool::new(false));
    let Ok(built) = result else {
        panic!("the build fails");
    };
    assert_eq!(
        (built.engine.as_slice(), built.timing),
        (&b"engine"[..], None)
    );
    let log = fs::read_to_string(folder.path().join("build.log")).unwrap();
    assert_eq!(log, "build-engine --segment 3\n");
}

#[test]
fn a_signal_to_the_parent_ends_the_process() {
    let begin = Instant::now();
    let stop = AtomicBool::new(false);
    let (result, _folder) = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            stop.store(true, Ordering::Relaxed);
        });
        run("exec sleep 60", &stop)
    });
    let error = result.err().expect("the build is stopped");
    assert!(error.is::<Interrupted>());
    let (text, code) = (exit::one_line(&error), exit::code(&error));
    assert!(
        text.contains("stopped by a signal; no engine was kept"),
        "{text}"
    );
    assert_eq!(code, exit::NOT_PREPARED);
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_process_that_closes_its_output_is_still_waited_for() {
    let script = "exec >/dev/null; sleep 0.3; printf engine > $ENGINE";
    let (result, _folder) = run(script, &AtomicBool::new(false));
    assert!(result.is_ok_and(|built| built.engine == b"engine"));
}

#[test]
fn a_process_left_behind_is_not_waited_for() {
    let begin = Instant::now();
    let (result, _folder) = run(
        "sleep 20 & printf engine > $ENGINE",
        &AtomicBool::new(false),
    );
    assert!(result.is_ok());
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_builder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let builder = folder.path().join("none");
    let job = Job {
        segment: "segment 0".into(),
        executable: &builder,
        arguments: Vec::new(),
        engine: folder.path().join("engine"),
        timing: folder.path().join("timing"),
        log: folder.path().join("log"),
    };
    let error = job
        .run(Progress::quiet(), &AtomicBool::new(false))
        .err()
        .expect("no builder");
    let text = exit::one_line(&error);
    assert!(
        text.contains("cannot start") && text.contains("none"),
        "{text}"
    );
}
