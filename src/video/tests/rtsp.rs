//! RTSP streams over loopback: what is told of servers that are not there, that refuse, that go
//! and come back.
#![cfg(feature = "gstreamer")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod rtsp_server;

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rtsp_server::{Offer, Server};
use tfjet_video::{Frame, Next, RetryOptions, Source, SourceOptions, SupervisedSource, VideoError};

/// `Basic` and base64 of `admin:hunter22`.
const LOGIN: &str = "Basic YWRtaW46aHVudGVyMjI=";

const SECOND: Duration = Duration::from_secs(1);

/// Attempts in quick order.
const QUICK: RetryOptions = RetryOptions {
    first: Duration::from_millis(50),
    most: Duration::from_millis(200),
    give_up_after: None,
};

fn first_frame(url: &str) -> Result<Frame, VideoError> {
    let mut source = Source::open(&SourceOptions::new(url))?;
    let mut frame = Frame::new();
    assert!(source.next_frame(&mut frame)?);
    Ok(frame)
}

fn supervised(url: &str) -> SupervisedSource {
    SupervisedSource::open(&SourceOptions::new(url), &QUICK).unwrap()
}

/// Waits until a frame comes, for at most ten seconds.
fn wait_for_frame(source: &mut SupervisedSource, frame: &mut Frame) -> Next {
    let begin = Instant::now();
    while begin.elapsed() < 10 * SECOND {
        match source
            .next_frame(frame, Duration::from_millis(100))
            .unwrap()
        {
            Next::Waiting => {}
            next => return next,
        }
    }
    Next::Waiting
}

/// Waits until the source is lost, for at most ten seconds.
fn wait_for_loss(source: &mut SupervisedSource, frame: &mut Frame) {
    let begin = Instant::now();
    while source.lost_since().is_none() && begin.elapsed() < 10 * SECOND {
        source.next_frame(frame, Duration::from_millis(50)).unwrap();
    }
    assert!(source.lost_since().is_some());
}

fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_stream_gives_frames_of_its_video() {
    let server = Server::start(Offer {
        audio: true,
        ..Offer::default()
    });
    let mut source = Source::open(&SourceOptions::new(server.url(""))).unwrap();
    assert!(source.is_live());
    let mut frame = Frame::new();
    for index in 0..5 {
        assert!(source.next_frame(&mut frame).unwrap());
        assert_eq!((frame.width(), frame.height()), (64, 48));
        assert_eq!(frame.index, index);
    }
    assert!(frame.pixels().iter().any(|&level| level > 100));
    assert_eq!(source.path().as_deref(), Some("jpegdec in system memory"));
    let setups = server.setups();
    assert!(
        !setups.is_empty() && setups.iter().all(|url| url.ends_with("picture")),
        "only the video is asked for: {setups:?}"
    );
}

#[test]
fn a_closed_port_is_told_at_once() {
    let url = format!("rtsp://admin:hunter22@127.0.0.1:{}/s", closed_port());
    let begin = Instant::now();
    let error = first_frame(&url).unwrap_err();
    assert!(begin.elapsed() < 2 * SECOND, "{:?}", begin.elapsed());
    assert!(matches!(error, VideoError::Unreachable { .. }), "{error:?}");
    assert!(error.is_missing());
    let line = error.to_string();
    assert!(
        line.starts_with("rtsp://admin:***@127.0.0.1:") && line.contains("connection refused"),
        "{line}"
    );
    assert!(!line.contains("hunter22"), "{line}");
}

#[test]
fn refusals_are_told_apart() {
    let server = Server::start(Offer {
        login: Some(LOGIN),
        ..Offer::default()
    });
    assert!(first_frame(&server.url("admin:hunter22@")).is_ok());
    for user in ["", "admin:wrong-one@"] {
        let begin = Instant::now();
        let error = first_frame(&server.url(user)).unwrap_err();
        assert!(begin.elapsed() < 3 * SECOND);
        assert!(matches!(error, VideoError::Unauthorized(_)), "{error:?}");
        assert!(!error.to_string().contains("wrong-one"), "{error}");
    }
    let missing = server.url("admin:hunter22@") + "/missing";
    let error = first_frame(&missing).unwrap_err();
    assert!(error.to_string().contains("Not found"), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("hunter22"),
        "{error}"
    );
}

#[test]
fn a_server_that_goes_and_comes_back_is_a_loss_only() {
    let mut server = Server::start(Offer::default());
    let address = server.address();
    let mut source = supervised(&server.url(""));
    let mut frame = Frame::new();
    assert!(source.lost_since().is_some(), "not open yet");
    assert_eq!(wait_for_frame(&mut source, &mut frame), Next::Frame);
    assert_eq!(source.lost_since(), None);
    assert_eq!((source.reconnects(), source.last_error()), (0, None));
    assert_eq!(source.path().as_deref(), Some("jpegdec in system memory"));
    assert!(source.is_live());
    for round in 1..=3 {
        let last = (frame.index, frame.pts_ns);
        drop(server);
        wait_for_loss(&mut source, &mut frame);
        let begin = Instant::now();
        while begin.elapsed() < SECOND / 2 {
            let next = source.next_frame(&mut frame, Duration::from_millis(20));
            assert_eq!(next.unwrap(), Next::Waiting);
        }
        let told = source.last_error().unwrap().to_owned();
        assert!(told.contains("connection refused"), "{told}");
        server = Server::start_at(address, Offer::default());
        assert_eq!(wait_for_frame(&mut source, &mut frame), Next::Frame);
        assert_eq!((source.reconnects(), source.lost_since()), (round, None));
        assert!((frame.index, frame.pts_ns) > last);
    }
}

#[test]
fn a_server_that_is_silent_is_lost_until_it_speaks() {
    let server = Server::start(Offer::default());
    let mut options = SourceOptions::new(server.url(""));
    options.timeout = SECOND / 2;
    let mut source = SupervisedSource::open(&options, &QUICK).unwrap();
    let mut frame = Frame::new();
    assert_eq!(wait_for_frame(&mut source, &mut frame), Next::Frame);
    server.be_silent(true);
    wait_for_loss(&mut source, &mut frame);
    let told = source.last_error().unwrap().to_owned();
    assert!(told.contains("stalled"), "{told}");
    server.be_silent(false);
    assert_eq!(wait_for_frame(&mut source, &mut frame), Next::Frame);
    assert_eq!(source.reconnects(), 1);
}

#[test]
fn a_server_that_never_comes_is_given_up() {
    let url = format!("rtsp://u:hunter22@127.0.0.1:{}/s", closed_port());
    let retry = RetryOptions {
        give_up_after: Some(SECOND),
        ..QUICK
    };
    let mut source = SupervisedSource::open(&SourceOptions::new(url), &retry).unwrap();
    let mut frame = Frame::new();
    let begin = Instant::now();
    let error = loop {
        match source.next_frame(&mut frame, Duration::from_millis(100)) {
            Ok(next) => assert_eq!(next, Next::Waiting),
            Err(error) => break error,
        }
        assert!(begin.elapsed() < 5 * SECOND);
    };
    assert!(begin.elapsed() >= SECOND);
    let line = error.to_string();
    assert!(
        line.contains("given up after 1 s") && line.contains("connection refused"),
        "{line}"
    );
    assert!(!line.contains("hunter22"), "{line}");
    let after = source.next_frame(&mut frame, Duration::ZERO).unwrap();
    assert_eq!((after, source.lost_since()), (Next::End, None));
}

#[test]
fn a_refused_login_is_not_tried_often() {
    let server = Server::start(Offer {
        login: Some(LOGIN),
        ..Offer::default()
    });
    let retry = RetryOptions {
        most: 60 * SECOND,
        ..QUICK
    };
    let options = SourceOptions::new(server.url("admin:wrong-one@"));
    let mut source = SupervisedSource::open(&options, &retry).unwrap();
    let mut frame = Frame::new();
    let begin = Instant::now();
    while source.last_error().is_none() && begin.elapsed() < 5 * SECOND {
        source.next_frame(&mut frame, SECOND / 10).unwrap();
    }
    let asked = server.described();
    let next = source.next_frame(&mut frame, 2 * SECOND).unwrap();
    assert_eq!((next, server.described()), (Next::Waiting, asked));
    let told = source.last_error().unwrap();
    assert!(
        told.contains("refuses") && !told.contains("wrong-one"),
        "{told}"
    );
}

#[test]
fn pauses_grow_to_the_longest() {
    let server = Server::start(Offer::default());
    let retry = RetryOptions {
        first: SECOND / 10,
        most: SECOND * 4 / 10,
        give_up_after: Some(2 * SECOND),
    };
    let options = SourceOptions::new(server.url("") + "/missing");
    let mut source = SupervisedSource::open(&options, &retry).unwrap();
    let mut frame = Frame::new();
    while source.next_frame(&mut frame, SECOND / 10).is_ok() {}
    // At 0, 0.1, 0.3, 0.7, 1.1, 1.5 and 1.9 s, or somewhat later.
    assert!(
        (4..=7).contains(&server.described()),
        "{}",
        server.described()
    );
}

/// GStreamer's own server as a process: H.264 over UDP, and a login by digest.
struct GstServer {
    process: Child,
    port: u16,
}

impl GstServer {
    /// `None` where the server is not installed.
    fn start(port: u16, login: &[&str]) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gst_rtsp_server.py");
        for python in ["/usr/bin/python3", "python3"] {
            let command = Command::new(python)
                .args([script, &port.to_string()])
                .args(login)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            let Ok(mut process) = command else { continue };
            let mut line = String::new();
            let output = process.stdout.take().unwrap();
            BufReader::new(output).read_line(&mut line).unwrap();
            if let Ok(port) = line.trim().parse() {
                return Some(Self { process, port });
            }
            process.wait().unwrap();
        }
        eprintln!(
            "skipped: GStreamer's RTSP server does not start; install python3-gi and \
             gir1.2-gst-rtsp-server-1.0"
        );
        None
    }
}

impl Drop for GstServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_server_of_gstreamer_is_killed_and_started_again() {
    let login = ["admin", "hunter22"];
    let Some(server) = GstServer::start(0, &login) else {
        return;
    };
    let port = server.port;
    let url = |user: &str| format!("rtsp://{user}127.0.0.1:{port}/stream");
    for user in ["", "admin:wrong-one@"] {
        let error = first_frame(&url(user)).unwrap_err();
        assert!(matches!(error, VideoError::Unauthorized(_)), "{error:?}");
    }
    let mut options = SourceOptions::new(url("admin:hunter22@"));
    options.timeout = 3 * SECOND;
    let mut source = SupervisedSource::open(&options, &QUICK).unwrap();
    let mut frame = Frame::new();
    assert_eq!(wait_for_frame(&mut source, &mut frame), Next::Frame);
    assert_eq!((frame.width(), frame.height()), (160, 120));
    let path = source.path().unwrap();
    assert!(
        path.contains("264") && path.ends_with("in system memory"),
        "{path}"
    );
    let mut server = Some(server);
    for round in 1..=2 {
        let last = (frame.index, frame.pts_ns);
        drop(server.take());
        wait_for_loss(&mut source, &mut frame);
        server = GstServer::start(port, &login);
        assert!(server.is_some());
        assert_eq!(wait_for_frame(&mut source, &mut frame), Next::Frame);
        assert_eq!(source.reconnects(), round);
        assert!((frame.index, frame.pts_ns) > last);
    }
}
