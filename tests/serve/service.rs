//! A service under a stand-in for the service manager.

use std::fs::File;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// After this a service is taken to hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What arrived at a socket, and when.
pub(crate) type Arrivals = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

/// A service that runs; it is killed when it is dropped.
pub(crate) struct Service {
    child: Child,
    told: Arrivals,
    stderr: PathBuf,
    stdout: Arc<Mutex<Vec<u8>>>,
}

/// How a service is started.
pub(crate) struct Start<'a> {
    folder: &'a Path,
    command: Command,
    read_stdout: bool,
}

/// How a service ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) stdout: String,
    pub(crate) told: Vec<String>,
}

impl<'a> Start<'a> {
    /// A service of the configuration `service.toml` in the folder, with this text.
    pub(crate) fn new(folder: &'a Path, config: &str) -> Self {
        let file = folder.join("service.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tfjet-run"));
        command
            .arg("serve")
            .arg("--config")
            .arg(file)
            .env_remove("TFJET_LOG")
            .env_remove("JOURNAL_STREAM")
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .env("TFJET_CUDA_DRIVER", "/none/libcuda.so.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Self {
            folder,
            command,
            read_stdout: true,
        }
    }

    pub(crate) fn watchdog(mut self, timeout: Duration) -> Self {
        self.command
            .env("WATCHDOG_USEC", timeout.as_micros().to_string());
        self
    }

    /// Nobody reads what it prints.
    pub(crate) fn leave_stdout(mut self) -> Self {
        self.read_stdout = false;
        self
    }

    /// Its standard error counts as the journal's, which listens at this socket.
    pub(crate) fn journal(mut self, socket: &Path) -> Self {
        let file = File::create(self.folder.join("stderr")).unwrap();
        let file = file.metadata().unwrap();
        self.command
            .env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino()))
            .env("TFJET_JOURNAL_SOCKET", socket);
        self
    }

    pub(crate) fn start(mut self) -> Service {
        let stderr = self.folder.join("stderr");
        let socket = self.folder.join("notify");
        let told = listen(&socket);
        let file = File::options()
            .create(true)
            .append(true)
            .open(&stderr)
            .unwrap();
        let mut child = self
            .command
            .env("NOTIFY_SOCKET", &socket)
            .stderr(file)
            .spawn()
            .unwrap();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        if self.read_stdout {
            collect(child.stdout.take().unwrap(), stdout.clone());
        }
        Service {
            child,
            told,
            stderr,
            stdout,
        }
    }
}

/// Collects the datagrams that come to a new socket.
pub(crate) fn listen(path: &Path) -> Arrivals {
    let socket = UnixDatagram::bind(path).unwrap();
    let arrivals = Arrivals::default();
    let all = arrivals.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = socket.recv(&mut buffer) {
            let arrival = (Instant::now(), buffer[..len].to_vec());
            all.lock().unwrap().push(arrival);
        }
    });
    arrivals
}

fn collect(mut from: ChildStdout, to: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            to.lock().unwrap().extend_from_slice(&buffer[..len]);
        }
    });
}

impl Service {
    /// What the service manager was told, line by line.
    pub(crate) fn told(&self) -> Vec<(Instant, String)> {
        let told = self.told.lock().unwrap();
        let lines = told.iter().flat_map(|(at, bytes)| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let lines: Vec<_> = text.lines().map(|line| (*at, line.to_owned())).collect();
            lines
        });
        lines.collect()
    }

    /// When it was told such a line.
    pub(crate) fn times(&self, line: &str) -> Vec<Instant> {
        let told = self.told();
        let same = told.iter().filter(|(_, text)| text == line);
        same.map(|(at, _)| *at).collect()
    }

    /// Waits until the manager was told this line `count` times.
    #[track_caller]
    pub(crate) fn wait_told(&mut self, line: &str, count: usize) {
        self.wait(line, |service| service.times(line).len() >= count);
    }

    /// Waits until the log has this text.
    #[track_caller]
    pub(crate) fn wait_logged(&mut self, text: &str) {
        self.wait(text, |service| service.stderr().contains(text));
    }

    /// Waits for anything else; the service must live on meanwhile.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, mut found: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !found(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < LIMIT,
                "`{what}` did not come, {ended:?}; told {:#?}, logged {}",
                self.told(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.stdout.lock().unwrap().clone()).unwrap()
    }

    /// Sends a signal, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").arg("-c").arg(command).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < LIMIT, "it still runs: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        // What it said last may still be on its way.
        std::thread::sleep(Duration::from_millis(50));
        Ended {
            code: status.code(),
            stderr: self.stderr(),
            stdout: self.stdout(),
            told: self.told().into_iter().map(|(_, line)| line).collect(),
        }
    }

    /// Asks it to end, and waits for that.
    #[track_caller]
    pub(crate) fn stop(self) -> (Ended, Duration) {
        let begin = Instant::now();
        self.signal("TERM");
        let ended = self.end();
        (ended, begin.elapsed() - Duration::from_millis(50))
    }

    /// Where its pages are, which it logs.
    #[track_caller]
    pub(crate) fn address(&mut self) -> String {
        self.wait_logged("http://");
        let log = self.stderr();
        let (_, rest) = log.split_once("http://").unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Code and body of a page.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, body.to_owned())
}

/// The value of a metric, its labels included in the name.
#[track_caller]
pub(crate) fn metric(page: &str, name: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
        .parse()
        .unwrap()
}
