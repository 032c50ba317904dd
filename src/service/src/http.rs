//! A small HTTP/1.1 server for what a machine asks about itself: `GET`, one answer a connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longest head of a request.
const MAX_HEAD: usize = 8 << 10;

/// Connections that are answered at a time; others wait in the system's queue.
const MAX_CONNECTIONS: usize = 4;

/// From a connection to its end, whatever the other side does.
const DEADLINE: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The code, as 200.
    pub status: u16,
    /// The body's type, as `text/plain`.
    pub content_type: &'static str,
    /// What is answered.
    pub body: String,
}

impl Response {
    /// A text of one line.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into() + "\n",
        }
    }

    fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Unknown",
        }
    }
}

/// Answers `GET` and `HEAD` of each path, without the query, by `answer`; for paths that it gives
/// `None` for, 404. Returns the address, with the port that the system chose where it was 0.
///
/// The threads run until the process ends.
///
/// # Errors
/// The system's, where the address cannot be listened on.
pub fn serve(
    address: SocketAddr,
    answer: impl Fn(&str) -> Option<Response> + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    let open = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("http".into()).spawn(move || {
        loop {
            while open.load(Ordering::Acquire) >= MAX_CONNECTIONS {
                thread::sleep(Duration::from_millis(5));
            }
            let Ok((stream, _)) = listener.accept() else {
                // Out of descriptors, most likely: it passes as connections end.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            open.fetch_add(1, Ordering::AcqRel);
            let done = Done(open.clone());
            let answer = answer.clone();
            let started = thread::Builder::new()
                .name("http connection".into())
                .spawn(move || {
                    let _done = done;
                    // The other side went away; there is nobody to tell.
                    let _ = connection(stream, &*answer);
                });
            if let Err(error) = started {
                tracing::warn!("a connection to the metrics is not answered: {error}");
            }
        }
    })?;
    Ok(address)
}

/// Counts a connection as ended, even where its thread panics or never starts.
struct Done(Arc<AtomicUsize>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn connection(mut stream: TcpStream, answer: &impl Fn(&str) -> Option<Response>) -> io::Result<()> {
    let begin = Instant::now();
    stream.set_write_timeout(Some(DEADLINE))?;
    let head = match head(&mut stream, begin)? {
        Some(head) => head,
        None => {
            return respond(
                &mut stream,
                &Response::text(431, "the request is too long"),
                true,
            );
        }
    };
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next();
    let line = line.and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some("HTTP/1.0" | "HTTP/1.1"), None) =
        (method, target, version, words.next())
    else {
        return respond(&mut stream, &Response::text(400, "no HTTP request"), true);
    };
    if !matches!(method, "GET" | "HEAD") {
        let text = format!("only GET and HEAD, not {method}");
        return respond(&mut stream, &Response::text(405, text), true);
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let response = answer(path).unwrap_or_else(|| Response::text(404, "no such page"));
    respond(&mut stream, &response, method == "GET")
}

/// The request up to its empty line, or as far as it came until the other side sent no more;
/// `None` where it is too long.
fn head(stream: &mut TcpStream, begin: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(512);
    let mut chunk = [0; 1024];
    loop {
        let left = DEADLINE.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let len = stream.read(&mut chunk)?;
        head.extend_from_slice(chunk.get(..len).unwrap_or_default());
        let ended = |end: &[u8]| head.windows(end.len()).any(|window| window == end);
        if len == 0 || ended(b"\r\n\r\n") || ended(b"\n\n") {
            return Ok(Some(head));
        }
        if head.len() > MAX_HEAD {
            return Ok(None);
        }
    }
}

fn respond(stream: &mut TcpStream, response: &Response, with_body: bool) -> io::Result<()> {
    let Response {
        status,
        content_type,
        body,
    } = response;
    let mut text = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n{}\r\n",
        response.reason(),
        body.len(),
        if *status == 405 {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        },
    );
    if with_body {
        text.push_str(body);
    }
    stream.write_all(text.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn server() -> SocketAddr {
        serve((Ipv4Addr::LOCALHOST, 0).into(), |path| {
            (path == "/a").then(|| Response::text(200, "found"))
        })
        .unwrap()
    }

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        // The server may answer and close before it has read all of it.
        let _ = stream.write_all(request);
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn requests_get_the_answers_that_they_deserve() {
        let address = server();
        for (request, status) in [
            ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
            ("GET /a?b=c HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET /a HTTP/1.1\n\n", "200 OK"),
            ("GET /b HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /a HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("GET /a\r\n\r\n", "400 Bad Request"),
            ("GET /a HTTP/2.0\r\n\r\n", "400 Bad Request"),
            ("\r\n\r\n", "400 Bad Request"),
        ] {
            let answer = ask(address, request.as_bytes());
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{request:?}: {answer}"
            );
            assert!(answer.contains("Connection: close\r\n"), "{answer}");
        }
        let answer = ask(address, b"GET /a HTTP/1.1\r\n\r\n");
        assert!(answer.contains("Content-Length: 6\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nfound\n"), "{answer}");
        let answer = ask(address, b"HEAD /a HTTP/1.1\r\n\r\n");
        assert!(answer.contains("Content-Length: 6\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        let bytes = ask(address, b"GET \xff HTTP/1.1\r\n\r\n");
        assert!(bytes.starts_with("HTTP/1.1 400 "), "{bytes}");
    }

    #[test]
    fn an_endless_request_is_cut_off() {
        let address = server();
        let mut request = b"GET /a HTTP/1.1\r\n".to_vec();
        request.resize(1 << 20, b'x');
        let mut stream = TcpStream::connect(address).unwrap();
        assert!(stream.write_all(&request).is_err() || ask(address, b"").is_empty());
        assert!(ask(address, b"GET /a HTTP/1.1\r\n\r\n").contains("found"));
    }

    #[test]
    fn silent_connections_neither_pile_up_nor_stay() {
        let address = server();
        let silent: Vec<TcpStream> = (0..MAX_CONNECTIONS + 2)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let begin = Instant::now();
        assert!(ask(address, b"GET /a HTTP/1.1\r\n\r\n").contains("found"));
        assert!(begin.elapsed() < DEADLINE * 3, "{:?}", begin.elapsed());
        drop(silent);
    }
}
