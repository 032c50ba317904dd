//! Builds that meet other ones or are killed. Engines are built where `TFJET_TENSORRT_RTX` names
//! TensorRT-RTX's library, which needs no GPU.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Machine, script};
use tfjet::runtime::{EngineCache, EngineKey};

#[test]
fn two_that_prepare_at_once_build_an_engine_once() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let builds = machine.folder.path().join("builds");
    let text = format!(
        "echo build >> '{}'\nsleep 1\nexec '{}' \"$@\"",
        builds.display(),
        env!("CARGO_BIN_EXE_tfjet-run"),
    );
    let builder = script(machine.folder.path(), &text);
    let prepare = || machine.prepare("--json --builder").arg(&builder);
    let mut found = std::thread::scope(|threads| {
        let running = [(); 3].map(|()| threads.spawn(|| prepare().run().good()));
        running.map(|ran| {
            let status = &ran.join().unwrap().json()["segments"][0]["status"];
            status.as_str().unwrap().to_owned()
        })
    });
    found.sort();
    assert_eq!(found, ["built", "cached", "cached"]);
    assert_eq!(fs::read_to_string(&builds).unwrap(), "build\n");
}

#[test]
fn a_build_that_is_killed_at_any_point_leaves_the_old_engine_or_the_new_one() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tfjet-run"));
        command
            .env("TFJET_CUDA_DRIVER", "/none/libcuda.so.1")
            .env("TFJET_TENSORRT", &machine.library)
            .args(["prepare", "--force", "--shape", "x=1x3", "--cache"])
            .arg(machine.cache())
            .arg(&machine.bundle)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let begin = Instant::now();
    assert!(program().status().unwrap().success());
    let whole = begin.elapsed();
    let cache = EngineCache::at(&machine.cache());
    let engine = || {
        let files = machine.files(".jet");
        let names = files
            .iter()
            .map(|file| file.file_stem().unwrap().to_str().unwrap());
        let keys: Vec<EngineKey> = names
            .map(|name| EngineKey(std::array::from_fn(|at| hex(&name[2 * at..2 * at + 2]))))
            .collect();
        keys.first().map(|key| cache.get(key).unwrap().unwrap())
    };
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut killed, mut left) = (0, [0; 2]);
    for round in 0..20 {
        let had_one = round % 2 == 0;
        if !had_one {
            let files = machine.files(".jet").into_iter();
            files.for_each(|file| fs::remove_file(file).unwrap());
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let part = (random >> 40) as f64 / f64::from(1 << 24);
        let mut child = program().spawn().unwrap();
        std::thread::sleep(whole.mul_f64(part));
        child.kill().unwrap();
        killed += i32::from(child.wait().unwrap().code().is_none());
        let found = engine();
        assert!(
            found.is_some() || !had_one,
            "round {round}: the old engine is gone"
        );
        left[usize::from(found.is_some())] += 1;
        let next = machine.prepare("--shape x=1x3 --json").run().good();
        let status = &next.json()["segments"][0]["status"];
        let expected = if found.is_some() { "cached" } else { "built" };
        assert_eq!(status, expected, "round {round}: {next:#?}");
        assert!(!next.stderr.contains("damaged"), "{next:#?}");
    }
    assert!(killed > 10, "only {killed} builds were killed");
    assert!(left[0] > 0, "no build was killed before it had an engine");
    let begin = Instant::now();
    while let Some(orphan) = building(&machine.cache()) {
        let lives = begin.elapsed();
        assert!(
            lives < Duration::from_secs(60),
            "process {orphan} builds for nobody"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn hex(digits: &str) -> u8 {
    u8::from_str_radix(digits, 16).unwrap()
}

/// A process that builds an engine for this cache.
fn building(cache: &Path) -> Option<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut building = processes.filter(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("build-engine") && line.contains(cache.to_str().unwrap())
    });
    building
        .next()
        .map(|it| it.file_name().into_string().unwrap())
}
