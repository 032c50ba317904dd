//! Sources that end, fail, begin again, and are stopped.
#![cfg(feature = "gstreamer")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use tfjet_video::{Frame, Next, RetryOptions, Source, SourceOptions, SupervisedSource, VideoError};

const SECOND: Duration = Duration::from_secs(1);

const QUICK: RetryOptions = RetryOptions {
    first: Duration::from_millis(50),
    most: Duration::from_millis(200),
    give_up_after: None,
};

fn open(text: &str) -> SupervisedSource {
    SupervisedSource::open(&SourceOptions::new(text), &QUICK).unwrap()
}

/// Number and time of a frame.
type Seen = (u64, Option<u64>);

/// Numbers and times of the next frames, at most so many, and how the source ended.
fn drain(source: &mut SupervisedSource, most: usize) -> (Vec<Seen>, Result<Next, VideoError>) {
    let begin = Instant::now();
    let mut frame = Frame::new();
    let mut seen = Vec::new();
    while seen.len() < most && begin.elapsed() < 20 * SECOND {
        match source.next_frame(&mut frame, SECOND) {
            Ok(Next::Frame) => seen.push((frame.index, frame.pts_ns)),
            Ok(Next::Waiting) => {}
            end => return (seen, end),
        }
    }
    (seen, Ok(Next::Frame))
}

fn clip(folder: &Path) -> PathBuf {
    gst::init().unwrap();
    let path = folder.join("clip.mkv");
    let text = format!(
        "videotestsrc num-buffers=12 ! video/x-raw,width=64,height=48,framerate=25/1 \
         ! jpegenc ! matroskamux ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let wait = gst::ClockTime::from_seconds(30);
    let message = pipeline.bus().unwrap().timed_pop_filtered(wait, &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
    path
}

#[test]
fn a_file_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let mut source = open(path.to_str().unwrap());
    let (seen, end) = drain(&mut source, 100);
    assert_eq!((seen.len(), end.unwrap()), (12, Next::End));
    assert_eq!((source.lost_since(), source.last_error()), (None, None));
    assert_eq!((source.reconnects(), source.dropped()), (0, 0));
    assert_eq!(source.frame_rate(), Some((25, 1)));
    assert!(!source.is_live());
    assert_eq!(source.path().as_deref(), Some("jpegdec in system memory"));
    let next = source.next_frame(&mut Frame::new(), SECOND).unwrap();
    assert_eq!(next, Next::End);
}

#[test]
fn a_file_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let mut options = SourceOptions::new(path.to_str().unwrap());
    options.repeat = true;
    let mut source = SupervisedSource::open(&options, &QUICK).unwrap();
    let (supervised, _) = drain(&mut source, 30);
    assert_eq!((source.reconnects(), source.lost_since()), (0, None));
    let mut source = Source::open(&options).unwrap();
    let mut frame = Frame::new();
    let mut plain = Vec::new();
    while plain.len() < 30 && source.next_frame(&mut frame).unwrap() {
        plain.push((frame.index, frame.pts_ns));
    }
    // A period of 40 ms goes on over the end of the file.
    let expected: Vec<_> = (0..30)
        .map(|index| (index, Some(index * 40_000_000)))
        .collect();
    assert_eq!(supervised, expected);
    assert_eq!(plain, expected);
}

#[test]
fn images_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png"] {
        image::RgbImage::new(4, 3)
            .save(folder.path().join(name))
            .unwrap();
    }
    let mut options = SourceOptions::new(folder.path().to_str().unwrap());
    let mut source = SupervisedSource::open(&options, &QUICK).unwrap();
    assert_eq!(drain(&mut source, 9).0, [(0, None), (1, None)]);
    options.repeat = true;
    let mut source = SupervisedSource::open(&options, &QUICK).unwrap();
    let (seen, _) = drain(&mut source, 5);
    assert_eq!(seen, [0, 1, 2, 3, 4].map(|index| (index, None)));
    assert_eq!(source.path(), None);
}

#[test]
fn a_truncated_file_is_an_error_and_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let mut source = open(path.to_str().unwrap());
    let (seen, end) = drain(&mut source, 100);
    assert!((1..12).contains(&seen.len()));
    assert!(matches!(end, Err(VideoError::Truncated { .. })), "{end:?}");
    let next = source.next_frame(&mut Frame::new(), SECOND).unwrap();
    assert_eq!((next, source.lost_since()), (Next::End, None));
}

#[test]
fn a_live_pipeline_that_ends_is_opened_again() {
    let text = "videotestsrc:is-live=true,num-buffers=5,width=64,height=48,framerate=30/1";
    let mut source = open(text);
    let (seen, _) = drain(&mut source, 12);
    assert_eq!(seen.len(), 12);
    assert!(
        seen.is_sorted_by(|a, b| a.0 + 1 == b.0 && a.1 < b.1),
        "{seen:?}"
    );
    assert!(
        (2..=11).contains(&source.reconnects()),
        "{}",
        source.reconnects()
    );
    assert!(source.is_live());
    assert!(source.last_error().unwrap().ends_with("the stream ended"));
}

#[test]
fn a_pipeline_that_is_not_live_ends() {
    let mut source = open("gst:videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48");
    let (seen, end) = drain(&mut source, 100);
    assert_eq!((seen.len(), end.unwrap()), (3, Next::End));
}

#[test]
fn a_pipeline_that_fails_again_and_again_is_given_up() {
    let text = "gst:videotestsrc is-live=true ! identity error-after=1 ! video/x-raw";
    let retry = RetryOptions {
        give_up_after: Some(SECOND),
        ..QUICK
    };
    let mut source = SupervisedSource::open(&SourceOptions::new(text), &retry).unwrap();
    let begin = Instant::now();
    let mut told = Vec::new();
    let error = loop {
        match source.next_frame(&mut Frame::new(), SECOND / 100) {
            Ok(next) => assert_eq!(next, Next::Waiting),
            Err(error) => break error,
        }
        told.extend(source.last_error().map(str::to_owned));
        told.dedup();
        assert!(begin.elapsed() < 10 * SECOND);
    };
    assert!(begin.elapsed() >= SECOND);
    assert!(
        matches!(error, VideoError::Lost { seconds: 1, .. }),
        "{error:?}"
    );
    assert_eq!(told.len(), 1, "each attempt has the same error: {told:?}");
    assert!(error.to_string().ends_with(&told[0]), "{error}");
}

#[test]
fn what_another_attempt_does_not_mend_is_an_error_at_once() {
    for (text, usage) in [
        ("", true),
        ("csi:front", true),
        ("http://u:hunter22@host/clip", true),
        ("gst:nosuchsrc user-pw=hunter22 ! videoconvert", false),
        ("gst:videotestsrc nosuch=hunter22 password=hunter22", false),
        ("gst:!!", false),
        ("/no/such/clip.mkv", false),
        ("/no/such/image.png", false),
    ] {
        let error = SupervisedSource::open(&SourceOptions::new(text), &QUICK).unwrap_err();
        assert_eq!(error.is_usage(), usage, "{text}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter22"), "{shown}");
    }
    let retry = RetryOptions::default();
    assert_eq!((retry.first, retry.most), (SECOND / 2, 10 * SECOND));
    assert_eq!(retry.give_up_after, None);
}

#[test]
fn a_camera_that_is_not_there_is_waited_for() {
    let mut source = open("v4l2:///dev/video97?width=640&height=480");
    let begin = Instant::now();
    let next = source.next_frame(&mut Frame::new(), SECOND / 2).unwrap();
    let took = begin.elapsed();
    assert!((SECOND / 2..SECOND).contains(&took), "{took:?}");
    assert_eq!(next, Next::Waiting);
    assert!(source.lost_since().is_some() && source.is_live());
    let told = source.last_error().unwrap();
    assert!(told.starts_with("/dev/video97: "), "{told}");
    assert_eq!(
        source
            .next_frame(&mut Frame::new(), Duration::ZERO)
            .unwrap(),
        Next::Waiting
    );
}

#[test]
fn a_lost_source_stops_when_asked() {
    let options = SourceOptions::new("/dev/video97");
    let retry = RetryOptions::default();
    let mut source = SupervisedSource::open(&options, &retry).unwrap();
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SECOND / 5);
            options.stop.stop();
        });
        let next = source.next_frame(&mut Frame::new(), 30 * SECOND).unwrap();
        assert_eq!((next, source.lost_since()), (Next::End, None));
    });
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
    drop(source);
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

#[test]
fn frames_that_nobody_took_are_counted_over_a_loss() {
    let text = "videotestsrc:is-live=true,num-buffers=20,width=64,height=48,framerate=50/1";
    let mut source = open(text);
    let mut frame = Frame::new();
    let begin = Instant::now();
    while source.reconnects() < 2 && begin.elapsed() < 20 * SECOND {
        source.next_frame(&mut frame, SECOND).unwrap();
        thread::sleep(SECOND / 15);
    }
    let read = frame.index;
    assert_eq!(source.reconnects(), 2);
    let made = read + source.dropped();
    assert!(
        (36..=42).contains(&made) && source.dropped() > 10,
        "{read} read of {made}"
    );
}

#[test]
fn a_source_goes_to_another_thread() {
    fn check<T: Send + 'static>() {}
    check::<SupervisedSource>();
    check::<Source>();
}

#[test]
fn nothing_shows_a_secret() {
    let text = "gst:videotestsrc is-live=true name=password=hunter22 ! video/x-raw";
    let options = SourceOptions::new("rtsp://u:hunter22@127.0.0.1:9/s?token=hunter22");
    let source = SupervisedSource::open(&options, &QUICK).unwrap();
    for shown in [
        format!("{options:?}"),
        format!("{source:?}"),
        source.name().to_owned(),
        format!("{:?}", SourceOptions::new(text)),
    ] {
        assert!(!shown.contains("hunter22"), "{shown}");
    }
}
