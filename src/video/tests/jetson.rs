//! A Jetson's elements are used where they are there, and the processor where they are not or
//! fail; cameras that go come back. The elements are stand-ins.
#![cfg(feature = "gstreamer")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

#[allow(dead_code, reason = "the test of RTSP uses the rest")]
mod rtsp_server;
mod stand_ins;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use gstreamer::{self as gst, prelude::*};
use rtsp_server::{Offer, Server};
use stand_ins::{
    DOES_NOT_DECODE, DOES_NOT_OPEN, FAULT, FLIP, HANGING, Installed, MJPEG, Role, SOUND, UNPLUGGED,
};
use tfjet_video::{Frame, Next, RetryOptions, Source, SourceOptions, SupervisedSource};

const SECOND: Duration = Duration::from_secs(1);

const QUICK: RetryOptions = RetryOptions {
    first: Duration::from_millis(50),
    most: Duration::from_millis(200),
    give_up_after: None,
};

/// The first frame of a source, and which elements brought it.
fn first(text: &str) -> (Frame, String) {
    let mut source = Source::open(&SourceOptions::new(text)).unwrap();
    let mut frame = Frame::new();
    assert!(source.next_frame(&mut frame).unwrap());
    (frame, source.path().unwrap())
}

/// Where the white ball of the test pattern is, in shares of the frame.
fn ball(frame: &Frame) -> (f64, f64) {
    let (mut x, mut y, mut sum) = (0.0, 0.0, 0.0);
    for (index, pixel) in frame.pixels().chunks_exact(3).enumerate() {
        if pixel[1] > 128 {
            x += (index % frame.width()) as f64;
            y += (index / frame.width()) as f64;
            sum += 1.0;
        }
    }
    assert!(sum > 0.0, "there is no ball");
    (
        x / sum / frame.width() as f64,
        y / sum / frame.height() as f64,
    )
}

fn wait_for_frame(source: &mut SupervisedSource, frame: &mut Frame) {
    let begin = Instant::now();
    while source.next_frame(frame, SECOND / 10).unwrap() != Next::Frame {
        assert!(begin.elapsed() < 10 * SECOND, "{:?}", source.last_error());
    }
}

fn wait_for_loss(source: &mut SupervisedSource, frame: &mut Frame) {
    let begin = Instant::now();
    while source.lost_since().is_none() {
        source.next_frame(frame, SECOND / 20).unwrap();
        assert!(begin.elapsed() < 10 * SECOND);
    }
}

/// A clip of 20 frames; `None` where an encoder is missing.
fn clip(folder: &Path, encoder: &str) -> Option<PathBuf> {
    let name = encoder.split_whitespace().next().unwrap();
    if gst::ElementFactory::find(name).is_none() {
        eprintln!("skipped: the GStreamer element {name} is not installed");
        return None;
    }
    let path = folder.join("clip.mkv");
    let text = format!(
        "videotestsrc num-buffers=20 pattern=ball \
         ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 \
         ! {encoder} ! matroskamux ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let wait = gst::ClockTime::from_seconds(30);
    let message = pipeline.bus().unwrap().timed_pop_filtered(wait, &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
    Some(path)
}

fn frames(path: &Path) -> (usize, String) {
    let mut source = Source::open(&SourceOptions::new(path.to_str().unwrap())).unwrap();
    let mut frame = Frame::new();
    let mut count = 0;
    while source.next_frame(&mut frame).unwrap() {
        assert_eq!((frame.width(), frame.height()), (160, 120));
        ball(&frame);
        count += 1;
    }
    (count, source.path().unwrap())
}

#[test]
fn a_csi_camera_comes_through_its_elements() {
    let _installed = Installed::all();
    let (frame, path) = first("csi:0");
    assert_eq!((frame.width(), frame.height()), (1280, 720));
    assert_eq!(path, "nvarguscamerasrc, nvvidconv");
    assert_eq!(FLIP.load(Ordering::Acquire), 0);
    let upright = ball(&frame);
    let (frame, _) = first("csi:0?width=640&height=480&framerate=60&flip=rotate-180");
    assert_eq!((frame.width(), frame.height()), (640, 480));
    assert_eq!(FLIP.load(Ordering::Acquire), 2);
    let turned = ball(&frame);
    assert!(
        (upright.0 + turned.0 - 1.0).abs() < 0.1,
        "{upright:?} {turned:?}"
    );
    assert!(
        (upright.1 + turned.1 - 1.0).abs() < 0.1,
        "{upright:?} {turned:?}"
    );
}

#[test]
fn a_csi_camera_needs_its_elements() {
    for (there, missing) in [
        (vec![], "nvarguscamerasrc"),
        (vec![Role::Camera], "nvvidconv"),
    ] {
        let _installed = Installed::new(&there);
        let options = SourceOptions::new("csi:0");
        let errors = [
            Source::open(&options).unwrap_err(),
            SupervisedSource::open(&options, &QUICK).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_missing(), "{error}");
            let line = error.to_string();
            assert!(
                line.contains(missing) && line.ends_with("NVIDIA's JetPack"),
                "{line}"
            );
        }
    }
}

#[test]
fn a_csi_camera_that_is_not_there_is_a_missing_device() {
    let _installed = Installed::all();
    let mut frame = Frame::new();
    let result = Source::open(&SourceOptions::new("csi:1"))
        .and_then(|mut source| source.next_frame(&mut frame));
    let error = result.unwrap_err();
    assert!(error.is_missing(), "{error:?}");
    assert!(
        error.to_string().contains("No cameras available"),
        "{error}"
    );
}

#[test]
fn a_csi_camera_that_was_unplugged_comes_back() {
    let _installed = Installed::all();
    let mut source = SupervisedSource::open(&SourceOptions::new("csi:0"), &QUICK).unwrap();
    let mut frame = Frame::new();
    wait_for_frame(&mut source, &mut frame);
    assert_eq!(
        source.path().as_deref(),
        Some("nvarguscamerasrc, nvvidconv")
    );
    for round in 1..=2 {
        let last = (frame.index, frame.pts_ns);
        UNPLUGGED.store(true, Ordering::Release);
        wait_for_loss(&mut source, &mut frame);
        let begin = Instant::now();
        while begin.elapsed() < SECOND / 2 {
            assert_eq!(
                source.next_frame(&mut frame, SECOND / 20).unwrap(),
                Next::Waiting
            );
        }
        let told = source.last_error().unwrap();
        assert!(told.contains("No cameras available"), "{told}");
        UNPLUGGED.store(false, Ordering::Release);
        wait_for_frame(&mut source, &mut frame);
        assert_eq!(source.reconnects(), round);
        assert!((frame.index, frame.pts_ns) > last);
    }
}

#[test]
fn a_camera_that_hangs_does_not_hold_up_its_caller() {
    let _installed = Installed::all();
    HANGING.store(true, Ordering::Release);
    let begin = Instant::now();
    let mut source = SupervisedSource::open(&SourceOptions::new("csi:0"), &QUICK).unwrap();
    let mut frame = Frame::new();
    let next = source.next_frame(&mut frame, SECOND / 10).unwrap();
    assert_eq!(next, Next::Waiting);
    assert!(begin.elapsed() < SECOND, "{:?} to open", begin.elapsed());
    HANGING.store(false, Ordering::Release);
    wait_for_frame(&mut source, &mut frame);

    HANGING.store(true, Ordering::Release);
    UNPLUGGED.store(true, Ordering::Release);
    wait_for_loss(&mut source, &mut frame);
    let begin = Instant::now();
    let next = source.next_frame(&mut frame, SECOND / 10).unwrap();
    assert_eq!(next, Next::Waiting);
    assert!(
        begin.elapsed() < SECOND / 2,
        "{:?} to lose it",
        begin.elapsed()
    );
    HANGING.store(false, Ordering::Release);
    UNPLUGGED.store(false, Ordering::Release);
    wait_for_frame(&mut source, &mut frame);

    HANGING.store(true, Ordering::Release);
    let begin = Instant::now();
    drop(source);
    assert!(
        begin.elapsed() < 3 * SECOND / 2,
        "{:?} to close",
        begin.elapsed()
    );
    HANGING.store(false, Ordering::Release);
}

#[test]
fn jpeg_of_a_camera_is_decoded_by_the_hardware() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("video0");
    fs::write(&device, "jpeg").unwrap();
    let text = format!(
        "v4l2://{}?width=320&height=240&framerate=30",
        device.display()
    );
    for (there, expected, mjpeg) in [
        (
            vec![
                Role::Device,
                Role::Decoder,
                Role::JpegDecoder,
                Role::Converter,
            ],
            "nvv4l2decoder, nvvidconv",
            true,
        ),
        (
            vec![Role::Device, Role::JpegDecoder, Role::Converter],
            "nvjpegdec",
            false,
        ),
        (
            vec![Role::Device, Role::Decoder],
            "jpegdec in system memory",
            false,
        ),
        (vec![Role::Device], "jpegdec in system memory", false),
    ] {
        let _installed = Installed::new(&there);
        let (frame, path) = first(&text);
        assert_eq!((frame.width(), frame.height()), (320, 240));
        ball(&frame);
        assert!(path.starts_with(expected), "{path} with {there:?}");
        assert_eq!(MJPEG.load(Ordering::Acquire), mjpeg, "{there:?}");
    }
}

#[test]
fn raw_frames_of_a_camera_need_no_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("video0");
    fs::write(&device, "raw").unwrap();
    let _installed = Installed::all();
    let (frame, path) = first(&format!("v4l2://{}", device.display()));
    ball(&frame);
    assert_eq!(path, "raw video in system memory");
}

#[test]
fn a_camera_that_was_unplugged_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("video0");
    let _installed = Installed::all();
    let options = SourceOptions::new(format!("v4l2://{}", device.display()));
    let mut source = SupervisedSource::open(&options, &QUICK).unwrap();
    let mut frame = Frame::new();
    assert_eq!(
        source.next_frame(&mut frame, SECOND / 2).unwrap(),
        Next::Waiting
    );
    let told = source.last_error().unwrap().to_owned();
    assert!(told.contains("No such file"), "{told}");
    fs::write(&device, "jpeg").unwrap();
    wait_for_frame(&mut source, &mut frame);
    assert_eq!((source.reconnects(), frame.index), (0, 0));
    let last = frame.pts_ns;
    fs::remove_file(&device).unwrap();
    wait_for_loss(&mut source, &mut frame);
    let counted = frame.index;
    fs::write(&device, "jpeg").unwrap();
    wait_for_frame(&mut source, &mut frame);
    assert_eq!((source.reconnects(), frame.index), (1, counted + 1));
    assert!(frame.pts_ns > last);
}

#[test]
fn files_and_streams_are_decoded_by_the_hardware() {
    let folder = tempfile::tempdir().unwrap();
    let _installed = Installed::all();
    for (encoder, mjpeg) in [("openh264enc ! h264parse", false), ("jpegenc", true)] {
        let Some(path) = clip(folder.path(), encoder) else {
            continue;
        };
        let expected = (20, "nvv4l2decoder, nvvidconv".to_owned());
        assert_eq!(frames(&path), expected, "{encoder}");
        assert_eq!(MJPEG.load(Ordering::Acquire), mjpeg, "{encoder}");
    }
    let server = Server::start(Offer::default());
    let (frame, path) = first(&server.url(""));
    assert_eq!((frame.width(), frame.height()), (64, 48));
    assert_eq!(path, "nvv4l2decoder, nvvidconv");
}

#[test]
fn a_hardware_decoder_that_fails_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("video0");
    fs::write(&device, "jpeg").unwrap();
    let _installed = Installed::all();
    let server = Server::start(Offer::default());
    let path = clip(folder.path(), "jpegenc").unwrap();
    for fault in [DOES_NOT_OPEN, DOES_NOT_DECODE] {
        FAULT.store(fault, Ordering::Release);
        let expected = "jpegdec in system memory, since the hardware decoder failed";
        assert_eq!(frames(&path), (20, expected.to_owned()), "fault {fault}");
        for text in [server.url(""), format!("v4l2://{}", device.display())] {
            let (frame, path) = first(&text);
            ball(&frame);
            assert_eq!(path, expected, "{text}, fault {fault}");
        }
    }
    FAULT.store(SOUND, Ordering::Release);
    assert_eq!(frames(&path), (20, "nvv4l2decoder, nvvidconv".to_owned()));
}
