//! The word to the service manager: `sd_notify`'s datagrams and the watchdog.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Mask;

/// By how much a start is extended at a time; to be asked for again well before.
pub const EXTENSION: Duration = Duration::from_secs(60);

/// Tells the service manager how the process is. Without one it says nothing.
#[derive(Debug, Clone)]
pub struct Notifier(Option<Arc<Manager>>);

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    mask: Mask,
    failed: AtomicBool,
}

impl Notifier {
    /// Speaks to the socket that `NOTIFY_SOCKET` names: a path, or `@NAME` for an abstract one.
    ///
    /// # Errors
    /// The variable holds neither, or there can be no socket.
    pub fn from_env(mask: Mask) -> io::Result<Self> {
        match env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) {
            Some(name) => Self::to(&name, mask),
            None => Ok(Self::silent()),
        }
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Speaks to this socket.
    ///
    /// # Errors
    /// As [`Notifier::from_env`].
    pub fn to(name: &OsStr, mask: Mask) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let text = format!(
                    "NOTIFY_SOCKET is `{}`, neither a path nor @NAME",
                    name.display()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not stop the process that it is to watch.
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Manager {
            socket,
            address,
            mask,
            failed: AtomicBool::new(false),
        }))))
    }

    /// Is there a service manager to speak to?
    pub fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    /// The process serves.
    pub fn ready(&self) {
        self.send("READY=1\n");
    }

    /// The process reads its configuration again; [`Notifier::ready`] ends this.
    pub fn reloading(&self) {
        self.send("RELOADING=1\n");
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// The process lives.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// A line for people, masked.
    pub fn status(&self, text: &str) {
        if let Some(manager) = &self.0 {
            let text = (manager.mask)(text).replace('\n', " ");
            self.send(&format!("STATUS={text}\n"));
        }
    }

    /// Starting takes this much longer from now.
    pub fn extend(&self, by: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}\n", by.as_micros()));
    }

    fn send(&self, text: &str) {
        let Some(manager) = &self.0 else { return };
        let sent = manager
            .socket
            .send_to_addr(text.as_bytes(), &manager.address);
        match sent {
            Ok(_) => manager.failed.store(false, Ordering::Relaxed),
            Err(error) if !manager.failed.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    "the service manager cannot be told `{}`: {error}",
                    text.trim()
                );
            }
            Err(_) => {}
        }
    }
}

/// Pings the service manager's watchdog, from the loop that it is to watch and from nowhere else:
/// a loop that hangs pings no more, and the manager starts the process anew.
#[derive(Debug)]
pub struct Watchdog {
    notifier: Notifier,
    timeout: Option<Duration>,
    last: Option<Instant>,
}

impl Watchdog {
    /// The watchdog of `WATCHDOG_USEC`, where `WATCHDOG_PID` is this process or absent.
    pub fn from_env(notifier: &Notifier) -> Self {
        let variable = |name| env::var(name).ok();
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let timeout = variable("WATCHDOG_USEC")
            .filter(|_| ours)
            .and_then(|text| text.parse().ok())
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        Self::new(notifier, timeout)
    }

    /// A watchdog that bites after `timeout` without a ping, or none.
    pub fn new(notifier: &Notifier, timeout: Option<Duration>) -> Self {
        Self {
            notifier: notifier.clone(),
            timeout,
            last: None,
        }
    }

    /// After this long without a ping the manager ends the process; `None` where there is none
    /// that watches.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The loop went on. Pings where a quarter of the timeout has passed since the last ping.
    pub fn feed(&mut self) {
        let Some(timeout) = self.timeout else { return };
        if self.last.is_none_or(|last| last.elapsed() >= timeout / 4) {
            self.last = Some(Instant::now());
            self.notifier.watchdog();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_in() -> (tempfile::TempDir, UnixDatagram, Notifier) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notifier =
            Notifier::to(path.as_os_str(), |text| text.replace("secret", "***")).unwrap();
        (folder, manager, notifier)
    }

    fn received(manager: &UnixDatagram) -> Vec<String> {
        let mut texts = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(len) = manager.recv(&mut buffer) {
            texts.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
        }
        texts
    }

    #[test]
    fn each_word_is_a_datagram() {
        let (_folder, manager, notifier) = stand_in();
        notifier.extend(Duration::from_secs(30));
        notifier.status("rtsp://secret\nlost");
        notifier.ready();
        notifier.reloading();
        notifier.watchdog();
        notifier.stopping();
        assert_eq!(
            received(&manager),
            [
                "EXTEND_TIMEOUT_USEC=30000000\n",
                "STATUS=rtsp://*** lost\n",
                "READY=1\n",
                "RELOADING=1\n",
                "WATCHDOG=1\n",
                "STOPPING=1\n",
            ]
        );
    }

    #[test]
    fn abstract_sockets_are_reached() {
        let name = format!("tfjet-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notifier = Notifier::to(format!("@{name}").as_ref(), str::to_owned).unwrap();
        notifier.ready();
        assert_eq!(received(&manager), ["READY=1\n"]);
        assert!(Notifier::to("relative".as_ref(), str::to_owned).is_err());
    }

    #[test]
    fn a_manager_that_is_gone_or_does_not_read_stops_nobody() {
        let (folder, manager, notifier) = stand_in();
        for _ in 0..10_000 {
            notifier.watchdog();
        }
        assert!(!received(&manager).is_empty());
        drop((folder, manager));
        notifier.ready();
        Notifier::silent().ready();
    }

    #[test]
    fn the_watchdog_is_not_pinged_more_often_than_needed() {
        let (_folder, manager, notifier) = stand_in();
        let mut watchdog = Watchdog::new(&notifier, Some(Duration::from_secs(3600)));
        watchdog.feed();
        watchdog.feed();
        assert_eq!(received(&manager).len(), 1);
        let mut eager = Watchdog::new(&notifier, Some(Duration::from_nanos(1)));
        eager.feed();
        eager.feed();
        assert_eq!(received(&manager).len(), 2);
        Watchdog::new(&notifier, None).feed();
        assert!(received(&manager).is_empty());
    }
}
