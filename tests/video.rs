//! `tfjet-run run --source`: frames in, results out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{Graph, cached, convert, engine, folder, listing, shared, tfjet_run};
use serde_json::Value;
use tfjet::video::{Frame, Source, SourceOptions};

const WIDTH: f64 = 768.0;
const HEIGHT: f64 = 576.0;

/// The detector's bundle and the clip, where they and the engine are there.
fn detector_and_clip() -> Option<(&'static Path, PathBuf)> {
    static BUNDLE: OnceLock<PathBuf> = OnceLock::new();
    let model = cached("centernet", "centernet.json")?;
    let clip = cached("vtest", "vtest.avi")?;
    if !engine() {
        return None;
    }
    let bundle = BUNDLE.get_or_init(|| {
        let bundle = Path::new(env!("CARGO_TARGET_TMPDIR")).join("video-centernet.jet");
        convert(&model, &bundle, "");
        bundle
    });
    Some((bundle, clip))
}

/// A bundle for images of 16 x 8 pixels that needs no engine: the mean of each channel of the
/// whole image.
fn means(folder: &Path) -> PathBuf {
    let model = Graph::new()
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
        )
        .write(folder, "means.pbtxt");
    let bundle = folder.join("means.jet");
    convert(
        &model,
        &bundle,
        "--min-segment-size 99 --allow-residual-only --image-size 16x8 \
         --decoder classify --top-k 3",
    );
    bundle
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// Width, height and pixels of every image of a file or folder.
fn images(path: &Path) -> Vec<(usize, usize, Vec<u8>)> {
    let mut source = Source::open(&SourceOptions::new(path.to_str().unwrap())).unwrap();
    let mut frame = Frame::new();
    let mut images = Vec::new();
    while source.next_frame(&mut frame).unwrap() {
        images.push((frame.width(), frame.height(), frame.pixels().to_vec()));
    }
    images
}

#[test]
fn clip_gives_lines_pictures_and_video() {
    let Some((bundle, clip)) = detector_and_clip() else {
        return;
    };
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let ran = tfjet_run()
        .arg("run")
        .arg(bundle)
        .arg("--source")
        .arg(&clip)
        .words("--frames 30 --json --sink fake")
        .arg("--sink")
        .arg(path("out.jsonl"))
        .arg("--sink")
        .arg(path("out.mkv"))
        .arg("--sink")
        .arg(format!("{}@20", path("frame.png").display()))
        .run()
        .good();
    assert_eq!(ran.stderr, "", "{ran:#?}");
    let summary = ran.json();
    assert_eq!(summary["model"], "centernet");
    assert_eq!(summary["frames"], 30);
    assert_eq!(summary["dropped"], 0);
    assert_eq!(summary["segments"], 1);
    assert!(summary["fps"].as_f64().unwrap() > 0.0);
    assert!(summary["latency_p99_ms"].as_f64() >= summary["latency_p50_ms"].as_f64());
    assert_eq!(
        listing(folder.path()),
        ["frame.png", "out.jsonl", "out.mkv"]
    );

    let found = lines(&std::fs::read_to_string(path("out.jsonl")).unwrap());
    assert_eq!(found.len(), 30);
    for (index, line) in found.iter().enumerate() {
        assert_eq!(keys(line), ["detections", "frame", "pts_ns"]);
        assert_eq!(line["frame"], index);
        assert_eq!(line["pts_ns"], index as u64 * 100_000_000);
        check_detections(line);
    }

    let [(width, height, annotated)] = <[_; 1]>::try_from(images(&path("frame.png"))).unwrap();
    assert_eq!((width as f64, height as f64), (WIDTH, HEIGHT));
    let mut source = Source::open(&SourceOptions::new(clip.to_str().unwrap())).unwrap();
    let mut plain = Frame::new();
    for _ in 0..=20 {
        assert!(source.next_frame(&mut plain).unwrap());
    }
    let same = plain
        .pixels()
        .iter()
        .zip(&annotated)
        .filter(|(a, b)| a == b)
        .count();
    let share = same as f64 / annotated.len() as f64;
    assert!(
        (0.5..1.0).contains(&share),
        "{share} of the frame is as it was"
    );

    let video = std::fs::metadata(path("out.mkv")).unwrap();
    assert!(video.len() > 10_000);
    let video = images(&path("out.mkv"));
    assert_eq!(video.len(), 30);
    assert!(
        video
            .iter()
            .all(|(w, h, _)| (*w as f64, *h as f64) == (WIDTH, HEIGHT))
    );
}

/// Boxes inside the frame, scores in order of size, and at least three pedestrians.
fn check_detections(line: &Value) {
    let detections = line["detections"].as_array().unwrap();
    let mut last = 1.0;
    let mut persons = 0;
    for detection in detections {
        assert_eq!(keys(detection), ["box", "class", "label", "score"]);
        let corners: Vec<f64> = detection["box"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        let [x1, y1, x2, y2] = <[f64; 4]>::try_from(corners).unwrap();
        assert!(0.0 <= x1 && x1 < x2 && x2 <= WIDTH, "{detection}");
        assert!(0.0 <= y1 && y1 < y2 && y2 <= HEIGHT, "{detection}");
        let score = detection["score"].as_f64().unwrap();
        assert!(
            (0.25..=last).contains(&score),
            "{detection} after a score of {last}"
        );
        last = score;
        if detection["label"] == "person" {
            assert_eq!(detection["class"], 0);
            persons += 1;
        }
    }
    assert!(persons >= 3, "{persons} persons: {line}");
}

#[test]
fn the_same_clip_gives_the_same_lines() {
    let Some((bundle, clip)) = detector_and_clip() else {
        return;
    };
    let run = || {
        let run = tfjet_run()
            .arg("run")
            .arg(bundle)
            .arg("--source")
            .arg(&clip);
        let ran = run.words("--frames 5 --sink -").run().good();
        assert!(ran.stderr.contains("frames   5"), "the summary: {ran:#?}");
        ran.stdout
    };
    let first = run();
    assert_eq!(lines(&first).len(), 5);
    assert_eq!(first, run());
}

#[test]
fn a_folder_of_photos_gives_a_line_each() {
    let Some((bundle, _)) = detector_and_clip() else {
        return;
    };
    let Some(photos) = shared("images") else {
        return;
    };
    let run = tfjet_run()
        .arg("run")
        .arg(bundle)
        .arg("--source")
        .arg(&photos);
    let found = lines(&run.words("--sink -").run().good().stdout);
    let named: Vec<&str> = found
        .iter()
        .map(|line| line["source"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        ["astronaut.png", "motorcycle.png", "pedestrians.png"]
    );
    for (line, label) in found.iter().zip(["person", "motorcycle", "person"]) {
        let detections = line["detections"].as_array().unwrap();
        assert!(
            detections.iter().any(|found| found["label"] == label),
            "no {label}: {line}"
        );
    }
}

#[test]
fn a_test_pattern_needs_no_file() {
    let folder = folder();
    let bundle = means(folder.path());
    let run = tfjet_run().arg("run").arg(&bundle);
    let ran = run
        .words("--source videotestsrc:num-buffers=5 --sink - --sink fake")
        .run()
        .good();
    let found = lines(&ran.stdout);
    assert_eq!(found.len(), 5);
    for (index, line) in found.iter().enumerate() {
        assert_eq!(keys(line), ["classes", "frame", "pts_ns"]);
        assert_eq!(line["frame"], index);
        assert_eq!(line["classes"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn a_pipeline_text_is_a_source() {
    let folder = folder();
    let bundle = means(folder.path());
    let run = tfjet_run().arg("run").arg(&bundle).arg("--source");
    let run =
        run.arg("gst:videotestsrc num-buffers=3 pattern=red ! video/x-raw,width=32,height=16");
    let found = lines(&run.words("--sink -").run().good().stdout);
    assert_eq!(found.len(), 3);
    for line in found {
        let red = &line["classes"][0];
        assert_eq!(red["class"], 0, "{line}");
        assert!(
            (red["score"].as_f64().unwrap() - 255.0).abs() < 3.0,
            "{line}"
        );
        assert!(
            line["classes"][1]["score"].as_f64().unwrap() < 3.0,
            "{line}"
        );
    }
}

#[test]
fn a_folder_sink_holds_a_picture_per_frame() {
    let folder = folder();
    let bundle = means(folder.path());
    let pictures = folder.path().join("frames");
    let run = tfjet_run().arg("run").arg(&bundle);
    let run = run.words("--source videotestsrc:num-buffers=3,width=64,height=48");
    run.arg("--sink")
        .arg(format!("{}/", pictures.display()))
        .run()
        .good();
    let names = ["frame_000000.png", "frame_000001.png", "frame_000002.png"];
    assert_eq!(listing(&pictures), names);
    let images = images(&pictures);
    assert_eq!(images.len(), 3);
    assert!(
        images
            .iter()
            .all(|(width, height, _)| (*width, *height) == (64, 48))
    );

    // What a sink wrote is a source.
    let run = tfjet_run()
        .arg("run")
        .arg(&bundle)
        .arg("--source")
        .arg(&pictures);
    let found = lines(&run.words("--sink -").run().good().stdout);
    let sources: Vec<&str> = found
        .iter()
        .map(|line| line["source"].as_str().unwrap())
        .collect();
    assert_eq!(sources, names);
}

#[test]
fn frames_are_counted_to_the_limit() {
    let folder = folder();
    let bundle = means(folder.path());
    let run = tfjet_run().arg("run").arg(&bundle);
    let ran = run
        .words("--source videotestsrc --frames 7 --sink fake --json")
        .run()
        .good();
    assert_eq!(ran.json()["frames"], 7);
}

#[test]
fn a_camera_that_is_not_reached_is_told_at_once_and_without_secrets() {
    let folder = folder();
    let bundle = means(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let closed = format!("rtsp://admin:hunter22@127.0.0.1:{port}/s?token=hunter22");
    for (source, code, told) in [
        (closed.as_str(), 4, "connection refused"),
        ("http://admin:hunter22@host/clip", 2, "no such kind of URL"),
        ("gst:nosuchsrc user-pw=hunter22", 4, "`nosuchsrc`"),
    ] {
        let begin = Instant::now();
        let run = tfjet_run().arg("run").arg(&bundle);
        let ran = run.arg("--source").arg(source).words("--sink fake").run();
        let line = ran.refused(code);
        assert!(line.contains(told), "{line}");
        assert!(!line.contains("hunter22"), "{line}");
        assert!(begin.elapsed() < Duration::from_secs(6), "{source}");
    }
}
