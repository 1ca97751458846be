//! vhost-user devices: what they need beyond other devices.

use std::ffi::CString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::error::{Error, Result, check};
use super::offload::Offloads;

/// A `net_vhost` device.
pub(super) struct Vhost {
    socket: PathBuf,
    /// Whether the guest's side owns the socket.
    client: bool,
    /// Whether the operator decided over TSO.
    has_tso: bool,
}

/// Features that are left to us and that we do nothing about: fragments of UDP, which guests no longer make.
const NEVER: [u32; 2] = [dpdk_sys::VIRTIO_NET_F_HOST_UFO, dpdk_sys::VIRTIO_NET_F_GUEST_UFO];
const SEGMENTS: [u32; 6] = [
    dpdk_sys::VIRTIO_NET_F_HOST_TSO4,
    dpdk_sys::VIRTIO_NET_F_HOST_TSO6,
    dpdk_sys::VIRTIO_NET_F_HOST_ECN,
    dpdk_sys::VIRTIO_NET_F_GUEST_TSO4,
    dpdk_sys::VIRTIO_NET_F_GUEST_TSO6,
    dpdk_sys::VIRTIO_NET_F_GUEST_ECN,
];
const CHECKSUMS: [u32; 2] = [dpdk_sys::VIRTIO_NET_F_CSUM, dpdk_sys::VIRTIO_NET_F_GUEST_CSUM];

impl Vhost {
    /// From devargs; `None` for other devices.
    pub fn of(devargs: &str) -> Option<Self> {
        let mut words = devargs.split(',');
        let device = words.next()?.trim();
        if !device.starts_with("net_vhost") && !device.starts_with("eth_vhost") {
            return None;
        }
        let mut vhost = Self { socket: PathBuf::new(), client: false, has_tso: false };
        for word in words {
            match word.split_once('=') {
                Some(("iface", socket)) => vhost.socket = socket.into(),
                Some(("client", value)) => vhost.client = value != "0",
                Some(("tso", _)) => vhost.has_tso = true,
                _ => {}
            }
        }
        Some(vhost)
    }

    /// The devargs, which let guests leave segments to us: the driver's own choice is that they may not.
    pub fn with_tso(&self, devargs: &str) -> String {
        if self.has_tso { devargs.to_owned() } else { format!("{devargs},tso=1") }
    }

    /// Offers guests only what is wanted. The driver offers everything once it is configured, so a guest that is faster
    /// may be told of more; what it then makes of that is handled all the same.
    ///
    /// # Errors
    /// The driver does not know the socket.
    pub fn offer(&self, wanted: Offloads, subject: &str) -> Result<()> {
        let mut withheld = NEVER.to_vec();
        if !wanted.contain(Offloads::TCP4_SEGMENTS) {
            withheld.extend(SEGMENTS);
        }
        if !wanted.contain(Offloads::CHECKSUMS) {
            withheld.extend(CHECKSUMS);
        }
        let features = withheld.iter().fold(0, |all, feature| all | 1u64 << feature);
        let call = "rte_vhost_driver_disable_features";
        let socket = CString::new(self.socket.as_os_str().as_bytes())
            .map_err(|_| Error::plain(call, subject, "a NUL in its socket's path"))?;
        // SAFETY: plain call with a C string.
        let failed =
            unsafe { dpdk_sys::rte_vhost_driver_disable_features(socket.as_ptr(), features) };
        check(call, subject, failed).map(|_| ())
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
        let devargs = "net_vhost0,iface=/run/a.sock,queues=2,client=1";
        let vhost = Vhost::of(devargs).unwrap();
        assert!(vhost.client && vhost.socket.as_os_str() == "/run/a.sock");
        assert_eq!(vhost.with_tso(devargs), format!("{devargs},tso=1"));
        let devargs = "net_vhost0,iface=/run/a.sock,tso=0";
        let vhost = Vhost::of(devargs).unwrap();
        assert!(!vhost.client && vhost.with_tso(devargs) == devargs);
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
