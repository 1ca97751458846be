//! vhost-user devices: what they need beyond other devices.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A `net_vhost` device.
pub(super) struct Vhost {
    socket: PathBuf,
    /// Whether the guest's side owns the socket.
    client: bool,
}

impl Vhost {
    /// From devargs; `None` for other devices.
    pub fn of(devargs: &str) -> Option<Self> {
        let mut words = devargs.split(',');
        let device = words.next()?.trim();
        if !device.starts_with("net_vhost") && !device.starts_with("eth_vhost") {
            return None;
        }
        let mut vhost = Self { socket: PathBuf::new(), client: false };
        for word in words {
            match word.split_once('=') {
                Some(("iface", socket)) => vhost.socket = socket.into(),
                Some(("client", value)) => vhost.client = value != "0",
                _ => {}
            }
        }
        Some(vhost)
    }

    /// Removes the socket of a process that was killed: nobody listens there any more, and DPDK does not start where
    /// one is.
    pub fn remove_stale_socket(&self) {
        let is_socket = |file: std::fs::Metadata| file.file_type().is_socket();
        if self.client || !std::fs::metadata(&self.socket).is_ok_and(is_socket) {
            return;
        }
        let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
        if UnixStream::connect(&self.socket).is_err_and(refused) {
            tracing::debug!("{}: nobody listens there, removed", self.socket.display());
            let _ = std::fs::remove_file(&self.socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devargs_tell_socket_and_side() {
        let vhost = Vhost::of("net_vhost0,iface=/run/a.sock,queues=2,client=1").unwrap();
        assert!(vhost.client && vhost.socket.as_os_str() == "/run/a.sock");
        assert!(!Vhost::of("net_vhost0,iface=/run/a.sock").unwrap().client);
        assert!(Vhost::of("net_virtio_user0,path=/run/a.sock").is_none());
    }

    #[test]
    fn only_sockets_that_nobody_listens_at_go() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let listener = std::os::unix::net::UnixListener::bind(path("live")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("stale")).unwrap());
        std::fs::write(path("file"), "").unwrap();
        for name in ["live", "stale", "file", "none"] {
            let devargs = format!("net_vhost0,iface={}", path(name).display());
            Vhost::of(&devargs).unwrap().remove_stale_socket();
        }
        let there = ["live", "stale", "file"].map(|name| path(name).exists());
        assert_eq!(there, [true, false, true]);
        drop(listener);
    }
}
