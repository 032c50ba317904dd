//! An RTSP server on loopback: one stream of JPEG frames in RTP packets, over TCP.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;

/// What the tests set and read while the server runs.
#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    silent: AtomicBool,
    described: AtomicUsize,
    setups: Mutex<Vec<String>>,
    connections: Mutex<Vec<TcpStream>>,
}

/// A server; dropped, it closes its port and all connections.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// What the server offers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offer {
    /// The value of the header `Authorization` that it wants.
    pub(crate) login: Option<&'static str>,
    /// Is there an audio stream beside the video?
    pub(crate) audio: bool,
}

impl Server {
    /// Serves at a free port of loopback.
    pub(crate) fn start(offer: Offer) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), offer)
    }

    pub(crate) fn start_at(address: SocketAddr, offer: Offer) -> Self {
        gst::init().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State::default());
        let own = Arc::clone(&state);
        let thread = thread::spawn(move || {
            while !own.stop.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        let copy = stream.try_clone().unwrap();
                        own.connections.lock().unwrap().push(copy);
                        let own = Arc::clone(&own);
                        thread::spawn(move || serve(stream, &own, offer));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the stream; `user` is put before the host.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("rtsp://{user}{}/stream", self.address)
    }

    /// Sends no packet, but keeps its connections.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Release);
    }

    /// How often the stream was asked for.
    pub(crate) fn described(&self) -> usize {
        self.state.described.load(Ordering::Acquire)
    }

    /// The URLs of the tracks that were set up.
    pub(crate) fn setups(&self) -> Vec<String> {
        self.state.setups.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        for stream in self.state.connections.lock().unwrap().drain(..) {
            // A connection that the client has closed is fine too.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Answers the requests of one connection until it ends.
fn serve(stream: TcpStream, state: &Arc<State>, offer: Offer) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let writer = Arc::new(Mutex::new(stream));
    let mut sending = false;
    while let Ok(Some(request)) = Request::read(&mut reader) {
        let (status, more, body) = answer(&request, state, offer);
        let text = format!(
            "RTSP/1.0 {status}\r\nCSeq: {}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            request.header("cseq"),
            body.len()
        );
        if writer.lock().unwrap().write_all(text.as_bytes()).is_err() {
            return;
        }
        match request.method.as_str() {
            "PLAY" if !sending => {
                sending = true;
                let (state, writer) = (Arc::clone(state), Arc::clone(&writer));
                thread::spawn(move || send(&state, &writer));
            }
            "TEARDOWN" => return,
            _ => {}
        }
    }
}

fn answer(request: &Request, state: &State, offer: Offer) -> (&'static str, String, String) {
    let none = String::new;
    match request.method.as_str() {
        "OPTIONS" => (
            "200 OK",
            "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN\r\n".to_owned(),
            none(),
        ),
        "DESCRIBE" => {
            state.described.fetch_add(1, Ordering::AcqRel);
            if offer
                .login
                .is_some_and(|login| request.header("authorization") != login)
            {
                let ask = "WWW-Authenticate: Basic realm=\"camera\"\r\n".to_owned();
                return ("401 Unauthorized", ask, none());
            }
            if request.url.contains("missing") {
                return ("404 Not Found", none(), none());
            }
            let audio = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:sound\r\n";
            let sdp = format!(
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n{}\
                 m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\na=control:picture\r\n",
                if offer.audio { audio } else { "" }
            );
            (
                "200 OK",
                "Content-Type: application/sdp\r\n".to_owned(),
                sdp,
            )
        }
        "SETUP" if !request.header("transport").contains("interleaved") => {
            ("461 Unsupported Transport", none(), none())
        }
        "SETUP" => {
            state.setups.lock().unwrap().push(request.url.clone());
            let more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7\r\n";
            ("200 OK", more.to_owned(), none())
        }
        _ => ("200 OK", "Session: 7\r\n".to_owned(), none()),
    }
}

/// Sends packets until the connection ends.
fn send(state: &State, writer: &Mutex<TcpStream>) {
    let text = "videotestsrc is-live=true pattern=ball \
                ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 \
                ! jpegenc ! rtpjpegpay pt=26 ! appsink name=sink sync=false";
    let pipeline = gst::parse::launch(text).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap();
    let sink = sink.downcast::<AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    while !state.stop.load(Ordering::Acquire) {
        let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(50)) else {
            continue;
        };
        if state.silent.load(Ordering::Acquire) {
            continue;
        }
        let map = sample.buffer_owned().unwrap().into_mapped_buffer_readable();
        let packet = map.unwrap();
        let mut framed = vec![b'$', 0];
        framed.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
        framed.extend_from_slice(&packet);
        if writer.lock().unwrap().write_all(&framed).is_err() {
            break;
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The next request; packets of the client between requests are skipped.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        loop {
            match reader.fill_buf()?.first() {
                None => return Ok(None),
                Some(b'$') => {
                    let mut head = [0; 4];
                    reader.read_exact(&mut head)?;
                    let len = u16::from_be_bytes([head[2], head[3]]);
                    reader.read_exact(&mut vec![0; usize::from(len)])?;
                }
                Some(_) => break,
            }
        }
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut words = lines[0].split(' ').map(str::to_owned);
        let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
        Ok(Some(Self {
            method: words.next().unwrap(),
            url: words.next().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
        }))
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}
