//! `tfjet-run serve` and `check`: a service before a stand-in for the service manager.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "serve/model.rs"]
mod model;
#[path = "serve/service.rs"]
mod service;

use std::time::{Duration, Instant};

use common::{Graph, folder, listing, tfjet_run};
use model::{RED, bundle, config, means};
use serde_json::Value;
use service::{LIMIT, Start, get, listen, metric};
use tfjet::video::{Frame, Source, SourceOptions};

const WATCHDOG: Duration = Duration::from_millis(600);

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Labels of a line of results.
fn labels(line: &Value) -> Vec<&str> {
    let classes = line["classes"].as_array().unwrap();
    let labels = classes.iter().map(|class| class["label"].as_str().unwrap());
    labels.collect()
}

fn position(told: &[String], start: &str) -> usize {
    let found = told.iter().position(|line| line.starts_with(start));
    found.unwrap_or_else(|| panic!("no {start} in {told:#?}"))
}

#[test]
fn ready_comes_after_the_first_inference_and_pings_follow() {
    let folder = folder();
    means(folder.path());
    let text = config(RED, "[[sink]]\nto = \"-\"");
    let mut service = Start::new(folder.path(), &text).watchdog(WATCHDOG).start();
    service.wait_told("READY=1", 1);
    service.wait_told("WATCHDOG=1", 8);
    let pings = service.times("WATCHDOG=1");
    for pair in pings.windows(2) {
        assert!(pair[1] - pair[0] < WATCHDOG, "{pings:?}");
    }
    let most = 8.0 * (pings[7] - pings[0]).as_secs_f64() / WATCHDOG.as_secs_f64() + 2.0;
    assert!(
        pings.len() as f64 <= most + 8.0,
        "more often than needed: {pings:?}"
    );
    let (ended, took) = service.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let warm_up = position(&ended.told, "STATUS=running the model for the first time");
    let ready = position(&ended.told, "READY=1");
    let ping = position(&ended.told, "WATCHDOG=1");
    let stopping = position(&ended.told, "STOPPING=1");
    assert!(
        warm_up < ready && ready < ping && ping < stopping,
        "{:#?}",
        ended.told
    );
    assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
}

#[test]
fn a_model_that_cannot_run_is_never_ready() {
    let folder = folder();
    let graph = Graph::new()
        .placeholder("image", "DT_FLOAT", &[1, 8, 16, 3])
        .float_op("same", "Identity", &["image"])
        .float_op("y", "Relu", &["same"]);
    bundle(folder.path(), &graph, "--decoder classify --top-k 3");
    std::fs::write(folder.path().join("labels.txt"), "a\n").unwrap();
    let ended = Start::new(folder.path(), &config(RED, "")).start().end();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("first run of the model: decoder `classify`"),
        "{ended:#?}"
    );
    assert!(
        !ended.told.iter().any(|line| line == "READY=1"),
        "{ended:#?}"
    );
}

#[test]
fn sigterm_leaves_whole_files_in_less_than_two_seconds() {
    let folder = folder();
    means(folder.path());
    let text = config(
        RED,
        "[[sink]]\nto = \"out.jsonl\"\n[[sink]]\nto = \"out.mkv\"\n[[sink]]\nto = \"one.png\"",
    );
    let mut service = Start::new(folder.path(), &text).start();
    service.wait_told("READY=1", 1);
    service.wait_logged("the source is open");
    std::thread::sleep(Duration::from_secs(1));
    let (ended, took) = service.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let names = listing(folder.path());
    assert!(
        !names.iter().any(|name| name.ends_with(".part")),
        "{names:?}"
    );
    let text = std::fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    let found = lines(&text);
    assert!(found.len() > 10, "{text}");
    assert_eq!(labels(&found[0])[0], "red");
    let video = folder.path().join("out.mkv");
    let mut source = Source::open(&SourceOptions::new(video.to_str().unwrap())).unwrap();
    let mut frame = Frame::new();
    let mut frames = 0;
    while source.next_frame(&mut frame).unwrap() {
        frames += 1;
    }
    assert_eq!(frames, found.len());
    assert!(folder.path().join("one.png").exists());
}

#[test]
fn a_file_that_ends_ends_the_service() {
    let folder = folder();
    means(folder.path());
    let source = "videotestsrc:num-buffers=5,width=16,height=8";
    let ended = Start::new(folder.path(), &config(source, "[[sink]]\nto = \"-\""))
        .start()
        .end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(lines(&ended.stdout).len(), 5);
    assert!(ended.stderr.contains("served 5 frames"), "{ended:#?}");
}

#[test]
fn files_with_a_time_in_their_name_are_begun_anew() {
    let folder = folder();
    means(folder.path());
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let sinks = "[[sink]]\nto = \"out/{time}.jsonl\"\nevery = 1\n\
                 [[sink]]\nto = \"out/{time}.mkv\"\nevery = 1";
    let mut service = Start::new(folder.path(), &config(RED, sinks)).start();
    let out = folder.path().join("out");
    let whole = |end: &str| {
        let names = listing(&out).into_iter();
        names
            .filter(|name| !name.starts_with('.') && name.ends_with(end))
            .count()
    };
    service.wait("two files", |_| whole(".jsonl") >= 2 && whole(".mkv") >= 2);
    let (ended, _) = service.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let mut next = 0;
    for name in listing(&out) {
        let path = out.join(&name);
        if name.ends_with(".mkv") {
            let mut source = Source::open(&SourceOptions::new(path.to_str().unwrap())).unwrap();
            let mut frame = Frame::new();
            assert!(source.next_frame(&mut frame).unwrap());
            assert!(
                frame.pts_ns < Some(500_000_000),
                "{name} begins at {:?}",
                frame.pts_ns
            );
            continue;
        }
        for line in lines(&std::fs::read_to_string(path).unwrap()) {
            assert_eq!(line["frame"], next, "no frame is lost between files");
            next += 1;
        }
    }
}

#[test]
fn sighup_reads_thresholds_and_labels_again() {
    let folder = folder();
    means(folder.path());
    let file = folder.path().join("service.toml");
    let sink = "[[sink]]\nto = \"-\"";
    let mut service = Start::new(folder.path(), &config(RED, sink)).start();
    service.wait_told("READY=1", 1);
    let last = |text: &str| {
        let line = text.lines().rev().nth(1)?;
        let line: Value = serde_json::from_str(line).ok()?;
        Some(labels(&line).join(" "))
    };
    service.wait("three classes", |it| {
        last(&it.stdout()).is_some_and(|it| it.starts_with("red "))
    });
    let score = {
        let found = lines(service.stdout().lines().next().unwrap());
        found[0]["classes"][0]["score"].as_f64().unwrap()
    };
    assert!(
        (0.9..=1.0).contains(&score),
        "scores are from 0 to 1: {score}"
    );

    std::fs::write(&file, config(RED, &format!("threshold = 0.5\n{sink}"))).unwrap();
    service.signal("HUP");
    service.wait_told("READY=1", 2);
    service.wait("one class", |it| {
        last(&it.stdout()).as_deref() == Some("red")
    });

    std::fs::write(&file, config(RED, &format!("treshold = 0.1\n{sink}"))).unwrap();
    service.signal("HUP");
    service.wait_told("READY=1", 3);
    service.wait_logged(
        "line 4: unknown key `treshold`; did you mean `threshold`?; the configuration stays as it \
         was",
    );
    let lines_before = service.stdout().lines().count();
    service.wait("more lines", |it| {
        it.stdout().lines().count() > lines_before + 5
    });
    assert_eq!(last(&service.stdout()).as_deref(), Some("red"));

    std::fs::write(folder.path().join("labels.txt"), "rouge\nvert\nbleu\n").unwrap();
    let more = format!("threshold = 0.5\nclasses = [\"rouge\"]\nsource_timeout = 99\n{sink}");
    std::fs::write(&file, config(RED, &more)).unwrap();
    service.signal("HUP");
    service.wait_told("READY=1", 4);
    service.wait("the new label", |it| {
        last(&it.stdout()).as_deref() == Some("rouge")
    });
    service.wait_logged("source_timeout: changed, which takes effect at the next start");

    let (ended, _) = service.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let reloads = ended.told.iter().filter(|line| *line == "RELOADING=1");
    assert_eq!(reloads.count(), 3);
}

#[test]
fn a_source_that_comes_back_costs_neither_pings_nor_the_process() {
    let folder = folder();
    means(folder.path());
    let source = "gst:videotestsrc is-live=true num-buffers=15 ! \
                  video/x-raw,width=16,height=8,framerate=50/1";
    let more = "metrics = \"127.0.0.1:0\"\nretry_first = 1.5\nretry_most = 1.5";
    let mut service = Start::new(folder.path(), &config(source, more))
        .watchdog(WATCHDOG)
        .start();
    let address = service.address();
    service.wait("two reconnects", |_| {
        let (_, page) = get(&address, "/metrics");
        metric(&page, "tfjet_source_reconnects_total") >= 2.0
    });
    let pings = service.times("WATCHDOG=1");
    for pair in pings.windows(2) {
        assert!(pair[1] - pair[0] < WATCHDOG, "{pings:?}");
    }
    let (_, page) = get(&address, "/metrics");
    assert!(metric(&page, "tfjet_frames_total") >= 30.0, "{page}");
    let told = service.told();
    let lost = |line: &str| line.starts_with("STATUS=no source for ") && line.contains("ended");
    assert!(told.iter().any(|(_, line)| lost(line)), "{told:#?}");
    let (ended, _) = service.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn a_source_that_never_comes_is_given_up_at_its_timeout() {
    let folder = folder();
    means(folder.path());
    let more = "metrics = \"127.0.0.1:0\"\nframe_timeout = 1\nsource_timeout = 3\nretry_most = 0.5";
    let mut service = Start::new(folder.path(), &config("/dev/video987", more))
        .watchdog(WATCHDOG)
        .start();
    service.wait_told("READY=1", 1);
    let begin = Instant::now();
    let address = service.address();
    service.wait_told("WATCHDOG=1", 4);
    let (code, health) = get(&address, "/healthz");
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(
        (code, health["status"].as_str()),
        (200, Some("waiting")),
        "{health}"
    );
    assert!(
        health["error"].as_str().unwrap().contains("/dev/video987"),
        "{health}"
    );
    let ended = service.end();
    let took = begin.elapsed();
    assert!((2.5..5.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("/dev/video987: no frame for 3 s, which is source_timeout: "),
        "{ended:#?}"
    );
}

#[test]
fn a_loop_that_hangs_pings_no_more_and_still_ends_in_time() {
    let folder = folder();
    means(folder.path());
    let source = "videotestsrc:width=16,height=8";
    let more = "metrics = \"127.0.0.1:0\"\n[[sink]]\nto = \"-\"";
    // The sink hangs once the pipe is full, as a disk or a driver may.
    let mut service = Start::new(folder.path(), &config(source, more))
        .watchdog(WATCHDOG)
        .leave_stdout()
        .start();
    let address = service.address();
    service.wait("a hang", |_| {
        get(&address, "/healthz").0 == 503 && {
            let (_, page) = get(&address, "/metrics");
            metric(&page, "tfjet_frames_total") > 0.0
        }
    });
    let (_, health) = get(&address, "/healthz");
    assert!(health.contains("\"stalled\""), "{health}");
    let pings = service.times("WATCHDOG=1").len();
    std::thread::sleep(WATCHDOG * 3);
    assert_eq!(
        service.times("WATCHDOG=1").len(),
        pings,
        "{:#?}",
        service.told()
    );
    let (ended, took) = service.stop();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(
        ended.stderr.contains("did not end within 1900 ms"),
        "{ended:#?}"
    );
}

#[test]
fn a_stopped_process_pings_no_more() {
    let folder = folder();
    means(folder.path());
    let mut service = Start::new(folder.path(), &config(RED, ""))
        .watchdog(WATCHDOG)
        .start();
    service.wait_told("WATCHDOG=1", 2);
    service.signal("STOP");
    std::thread::sleep(Duration::from_millis(50));
    let pings = service.times("WATCHDOG=1").len();
    std::thread::sleep(WATCHDOG * 2);
    assert_eq!(service.times("WATCHDOG=1").len(), pings);
    service.signal("CONT");
    service.wait_told("WATCHDOG=1", pings + 1);
}

#[test]
fn pages_say_how_it_goes() {
    let folder = folder();
    means(folder.path());
    let text = config(RED, "metrics = \"127.0.0.1:0\"");
    let mut service = Start::new(folder.path(), &text).start();
    let address = service.address();
    service.wait("frames", |_| {
        metric(&get(&address, "/metrics").1, "tfjet_frames_total") > 20.0
    });
    let (code, page) = get(&address, "/metrics");
    assert_eq!(code, 200);
    for (name, range) in [
        ("tfjet_serving", 1.0..=1.0),
        ("tfjet_frames_per_second", 5.0..=100.0),
        ("tfjet_source_lost_seconds", 0.0..=0.0),
        ("tfjet_source_reconnects_total", 0.0..=0.0),
        ("tfjet_frame_latency_seconds_sum", 1e-6..=10.0),
        (
            "tfjet_frame_latency_quantile_seconds{quantile=\"0.99\"}",
            1e-6..=1.0,
        ),
        ("tfjet_reloads_total{result=\"bad\"}", 0.0..=0.0),
        ("process_resident_memory_bytes", 1e6..=1e10),
    ] {
        let value = metric(&page, name);
        assert!(range.contains(&value), "{name} is {value}");
    }
    let count = metric(&page, "tfjet_frame_latency_seconds_count");
    assert_eq!(count, metric(&page, "tfjet_frames_total"));
    assert_eq!(
        count,
        metric(&page, "tfjet_frame_latency_seconds_bucket{le=\"+Inf\"}")
    );
    assert!(page.contains(",device=\"CPU\","), "{page}");
    let mut known = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            known.push(rest.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let of = |known: &&str| name.strip_prefix(*known).is_some();
            assert!(known.last().is_some_and(of), "{line} has no type");
        }
    }
    let (code, health) = get(&address, "/healthz");
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(
        (code, health["status"].as_str()),
        (200, Some("ok")),
        "{health}"
    );
    assert_eq!(get(&address, "/").0, 404);
}

#[test]
fn no_secret_of_a_url_comes_out_anywhere() {
    let folder = folder();
    means(folder.path());
    let socket = folder.path().join("journal");
    let journal = listen(&socket);
    let source = "rtsp://user:hunter2@127.0.0.1:1/live?token=t0psecret";
    let more = "metrics = \"127.0.0.1:0\"\nframe_timeout = 1\nsource_timeout = 3\n\
                log = \"debug\"\nretry_first = 0.2\nretry_most = 0.2";
    let entries = |from: &service::Arrivals| -> String {
        let all = from.lock().unwrap();
        let texts = all
            .iter()
            .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
        texts.collect()
    };
    let mut service = Start::new(folder.path(), &config(source, more))
        .journal(&socket)
        .start();
    service.wait_told("READY=1", 1);
    let begin = Instant::now();
    let address = loop {
        let text = entries(&journal);
        if let Some((_, rest)) = text.split_once("at http://") {
            break rest.lines().next().unwrap().to_owned();
        }
        assert!(begin.elapsed() < LIMIT, "{text}");
    };
    service.wait("a failed attempt", |_| {
        get(&address, "/healthz").1.contains("error")
    });
    let pages = get(&address, "/healthz").1 + &get(&address, "/metrics").1;
    std::fs::write(
        folder.path().join("service.toml"),
        config(source, "threads = \"rtsp://user:hunter2@h/\""),
    )
    .unwrap();
    service.signal("HUP");
    service.wait_told("READY=1", 2);
    let ended = service.end();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    let journal = entries(&journal);
    assert!(
        journal.contains("MESSAGE=") && journal.contains("PRIORITY=3"),
        "{journal}"
    );
    assert!(journal.contains("SYSLOG_IDENTIFIER=tfjet-run"), "{journal}");
    assert!(
        ended.stderr.starts_with("<3>tfjet-run: rtsp://user:***@"),
        "{ended:#?}"
    );
    let all = format!("{pages}{journal}{ended:?}");
    for secret in ["hunter2", "t0psecret"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let check = tfjet_run()
        .arg("check")
        .arg(folder.path().join("service.toml"))
        .run();
    assert!(!format!("{check:?}").contains("hunter2"), "{check:#?}");
}
