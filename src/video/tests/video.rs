//! Video files, live sources and broken ones, through GStreamer.
#![cfg(feature = "gstreamer")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use tempfile::TempDir;
use tfjet_video::{
    Frame, Results, SinkOptions, SinkSpec, Sinks, Source, SourceOptions, VideoError,
};

fn open(text: &str) -> Result<Source, VideoError> {
    Source::open(&SourceOptions::new(text))
}

/// Width, height, time.
type Seen = (usize, usize, Option<u64>);

/// All frames, and how the source ended.
fn drain(source: &mut Source) -> (Vec<Seen>, Result<(), VideoError>) {
    let mut frame = Frame::new();
    let mut seen = Vec::new();
    loop {
        match source.next_frame(&mut frame) {
            Ok(true) => {
                assert_eq!(frame.index, seen.len() as u64);
                seen.push((frame.width(), frame.height(), frame.pts_ns));
            }
            Ok(false) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

/// Writes a clip of a moving ball through an encoder and a muxer.
fn encode(path: &Path, frames: u32, chain: &str) {
    gst::init().unwrap();
    let text = format!(
        "videotestsrc num-buffers={frames} pattern=ball \
         ! video/x-raw,width=160,height=120,framerate=25/1 ! {chain} ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let wait = gst::ClockTime::from_seconds(30);
    let message = pipeline.bus().unwrap().timed_pop_filtered(wait, &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
}

fn clip(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    let muxer = match name.rsplit_once('.').unwrap().1 {
        "avi" => "avimux",
        "mkv" => "matroskamux",
        _ => "qtmux",
    };
    encode(&path, 40, &format!("jpegenc ! {muxer}"));
    path
}

fn written(
    frames: usize,
    sinks: &[&str],
    size: impl Fn(usize) -> (usize, usize),
) -> Result<(), VideoError> {
    let specs: Vec<SinkSpec> = sinks.iter().map(|text| text.parse().unwrap()).collect();
    let options = SinkOptions {
        frame_rate: Some((20, 1)),
        ..SinkOptions::default()
    };
    let mut sinks = Sinks::open(&specs, &options)?;
    for index in 0..frames {
        let (width, height) = size(index);
        let mut frame = Frame::filled(width, height, [200, 30, index as u8])?;
        frame.index = index as u64;
        sinks.write(&frame, &Results::default())?;
    }
    sinks.finish()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_lose_no_frame() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.avi", "a.mkv", "a.mov"] {
        let path = clip(&folder, name);
        let mut source = open(path.to_str().unwrap()).unwrap();
        assert!(!source.is_live());
        assert_eq!(source.frame_rate(), Some((25, 1)));
        let (seen, end) = drain(&mut source);
        end.unwrap();
        assert_eq!(seen.len(), 40, "{name}");
        assert!(seen.iter().all(|frame| (frame.0, frame.1) == (160, 120)));
        assert!(seen.is_sorted_by_key(|frame| frame.2.unwrap()));
        assert_eq!((seen[0].2, source.dropped()), (Some(0), 0));
        assert!(!source.next_frame(&mut Frame::new()).unwrap());
    }
}

#[test]
fn rows_with_padding_are_packed() {
    let text = "videotestsrc:num-buffers=1,pattern=white,width=33,height=7";
    let mut source = open(text).unwrap();
    let mut frame = Frame::new();
    assert!(source.next_frame(&mut frame).unwrap());
    assert_eq!(
        (frame.width(), frame.height(), frame.pixels().len()),
        (33, 7, 33 * 7 * 3)
    );
    assert!(frame.pixels().iter().all(|&level| level > 250));
    frame.pixels_mut()[0] = 1;
    assert_eq!(frame.pixels()[0], 1);
}

#[test]
fn truncated_files_give_their_frames_then_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.avi", "a.mkv"] {
        let path = clip(&folder, name);
        let bytes = fs::read(&path).unwrap();
        for share in [3, 6, 9] {
            fs::write(&path, &bytes[..bytes.len() * share / 10]).unwrap();
            let (seen, end) = drain(&mut open(path.to_str().unwrap()).unwrap());
            let error = end.unwrap_err();
            assert!(matches!(error, VideoError::Truncated { .. }), "{error:?}");
            assert!(error.to_string().contains(name) && !error.is_missing());
            let expected = 40 * share / 10;
            assert!(
                seen.len().abs_diff(expected) <= 4,
                "{name} {share}: {}",
                seen.len()
            );
        }
    }
    let path = clip(&folder, "a.mov");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = open(path.to_str().unwrap()).unwrap_err();
    assert!(
        matches!(error, VideoError::Truncated { frames: 0, .. }),
        "{error:?}"
    );
}

#[test]
fn what_is_no_video_is_an_error_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.avi");
    fs::write(&text, "this is no video\n".repeat(100)).unwrap();
    let empty = folder.path().join("empty.mkv");
    fs::write(&empty, "").unwrap();
    let zeros = folder.path().join("zeros.mp4");
    fs::write(&zeros, [0; 100_000]).unwrap();
    let audio = folder.path().join("audio.wav");
    fs::write(&audio, wav()).unwrap();
    for path in [&text, &empty, &zeros, &audio] {
        let error = open(path.to_str().unwrap()).unwrap_err();
        let line = error.to_string();
        assert!(
            line.contains(path.to_str().unwrap()) && !line.contains('\n'),
            "{line}"
        );
        assert!(!error.is_missing() && !error.is_usage(), "{line}");
    }
    for path in [&text, &audio] {
        let error = open(path.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, VideoError::NoVideoStream(_)), "{error:?}");
    }
    let missing = folder.path().join("missing.avi");
    assert!(matches!(
        open(missing.to_str().unwrap()),
        Err(VideoError::Read { .. })
    ));
}

fn wav() -> Vec<u8> {
    let samples = vec![0u8; 8000];
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data");
    bytes.extend((samples.len() as u32).to_le_bytes());
    bytes.extend(samples);
    bytes
}

#[test]
fn missing_things_are_told_from_bad_ones() {
    let element = open("gst:nosuchsrc ! videoconvert").unwrap_err();
    assert!(
        element.is_missing() && element.to_string().contains("`nosuchsrc`"),
        "{element}"
    );
    let device = open("/dev/video97").unwrap_err();
    assert!(device.is_missing(), "{device}");
    for text in [
        "videotestsrc:nosuch=1",
        "gst:videotestsrc ! audio/x-raw",
        "gst:fakesink",
        "gst:!!",
    ] {
        let error = open(text).unwrap_err();
        assert!(!error.is_missing(), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let none = open("videotestsrc:num-buffers=0");
    let error = none
        .and_then(|mut source| source.next_frame(&mut Frame::new()))
        .unwrap_err();
    assert!(matches!(error, VideoError::NoFrames(_)), "{error:?}");
}

#[test]
fn live_sources_drop_late_frames_and_count_them() {
    let text = "videotestsrc:is-live=true,num-buffers=60,width=64,height=48,framerate=60/1";
    let mut source = open(text).unwrap();
    assert!(source.is_live());
    let mut frame = Frame::new();
    let (mut read, mut last) = (0, None);
    while source.next_frame(&mut frame).unwrap() {
        read += 1;
        let ticks = (frame.pts_ns.unwrap() as f64 * 60e-9).round() as u64;
        assert!(Some(ticks) > last);
        last = Some(ticks);
        let before: u64 = source.dropped() + read;
        assert!(before.abs_diff(ticks + 1) <= 1, "{before} {ticks}");
        thread::sleep(Duration::from_millis(70));
    }
    assert_eq!(read + source.dropped(), 60);
    assert!(source.dropped() > 20 && read > 1, "{read} read");
    assert_eq!(source.frame_rate(), Some((60, 1)));
}

#[test]
fn stops_when_asked() {
    let mut source = open("videotestsrc:is-live=true,width=64,height=48,framerate=1/8").unwrap();
    let mut frame = Frame::new();
    assert!(source.next_frame(&mut frame).unwrap());
    let stop = source.stop_handle();
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            stop.stop();
        });
        assert!(!source.next_frame(&mut frame).unwrap());
    });
    assert!(begin.elapsed() < Duration::from_secs(6));
}

#[test]
fn stalled_sources_are_errors() {
    let mut options = SourceOptions::new("gst:appsrc is-live=true ! video/x-raw");
    options.timeout = Duration::from_millis(300);
    let result = Source::open(&options).and_then(|mut source| source.next_frame(&mut Frame::new()));
    assert!(
        matches!(result, Err(VideoError::Stalled { .. })),
        "{result:?}"
    );
}

#[test]
fn written_videos_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for name in ["a.mkv", "a.mp4", "a.avi", "a.webm", "odd.mkv"] {
        let path = folder.path().join(name);
        let size = if name == "odd.mkv" {
            (97, 65)
        } else {
            (96, 64)
        };
        match written(30, &[path.to_str().unwrap()], |_| size) {
            Err(error) if error.is_missing() => {
                eprintln!("skipped {name}: {error}");
                continue;
            }
            other => other.unwrap(),
        }
        made.push(name);
        let mut source = open(path.to_str().unwrap()).unwrap();
        let mut frame = Frame::new();
        assert!(source.next_frame(&mut frame).unwrap());
        let padded = (
            frame.width().next_multiple_of(2),
            frame.height().next_multiple_of(2),
        );
        assert_eq!(padded, (frame.width(), frame.height()));
        let corner = &frame.pixels()[frame.pixels().len() - 3..];
        for (found, expected) in corner.iter().zip([200u8, 30, 0]) {
            assert!(found.abs_diff(expected) < 24, "{name}: {corner:?}");
        }
        let mut times = vec![frame.pts_ns.unwrap()];
        while source.next_frame(&mut frame).unwrap() {
            times.push(frame.pts_ns.unwrap());
        }
        assert_eq!(times.len(), 30, "{name}");
        let tick = 50_000_000;
        for pair in times.windows(2) {
            assert!(
                (pair[1] - pair[0]).abs_diff(tick) < 2_000_000,
                "{name}: {pair:?}"
            );
        }
    }
    made.sort_unstable();
    assert!(made.contains(&"a.mkv"));
    assert_eq!(names(&folder), made);
}

#[test]
fn failed_runs_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let all = [at("a.mkv"), at("a.jsonl"), at("frames/"), at("a.png@2")];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let growing = written(4, &all, |index| if index < 3 { (64, 48) } else { (32, 48) });
    let error = growing.unwrap_err().to_string();
    assert!(
        error.starts_with("frame 3 is 32x48: ") && error.ends_with("64x48"),
        "{error}"
    );
    assert_eq!(names(&folder), [""; 0]);
    let early = written(2, &[&at("a.png@2")], |_| (64, 48))
        .unwrap_err()
        .to_string();
    assert!(
        early.contains("frame 2") && early.contains("only 2"),
        "{early}"
    );
    assert!(written(0, &[&at("a.mkv")], |_| (64, 48)).is_err());
    assert_eq!(names(&folder), [""; 0]);
    assert!(written(1, &[&at("no/such/a.jsonl")], |_| (64, 48)).is_err());
    assert!(
        written(1, &[&at("a.png"), &at("a.png@3")], |_| (8, 8))
            .unwrap_err()
            .is_usage()
    );
}

#[test]
fn complete_runs_leave_their_outputs_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let all = [
        at("a.jsonl"),
        at("frames/"),
        at("a.png@1"),
        "fake".to_owned(),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    written(3, &all, |_| (64, 48)).unwrap();
    assert_eq!(names(&folder), ["a.jsonl", "a.png", "frames"]);
    let lines = fs::read_to_string(at("a.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(
        lines.lines().next(),
        Some("{\"frame\":0,\"pts_ns\":null,\"outputs\":[]}")
    );
    let (seen, end) = drain(&mut open(&at("frames/")).unwrap());
    end.unwrap();
    assert_eq!(seen, [(64, 48, None); 3]);
    let mut frame = Frame::new();
    assert!(open(&at("a.png")).unwrap().next_frame(&mut frame).unwrap());
    assert_eq!(frame.pixels()[..3], [200, 30, 1]);
}
