//! Kernel interfaces that ports are opened on. They may be deleted, or moved to another network namespace, while the port
//! runs.

use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use super::link::LinkState;

/// Drivers that know nothing of their interface's link. The kernel takes the interface from their socket, and for good, when
/// it is deleted or leaves the network namespace.
const SOCKETS: [&str; 2] = ["net_af_packet", "net_af_xdp"];

/// The interface of a started port.
pub(super) struct Interface {
    index: u32,
    kind: Kind,
}

enum Kind {
    /// One of the tap's own files, which says what becomes of the interface wherever that is.
    Tap(OwnedFd),
    /// One of [`SOCKETS`].
    Socket,
    /// Of another driver, which knows the link as long as the interface is in our network namespace.
    Other,
}

impl Interface {
    /// Of a port, if it has one.
    pub fn of(port: u16) -> Option<Self> {
        // SAFETY: plain data that the call fills, and zero where it fails.
        let info = unsafe {
            let mut info: dpdk_sys::rte_eth_dev_info = mem::zeroed();
            (dpdk_sys::rte_eth_dev_info_get(port, &mut info) == 0).then_some(info)?
        };
        let index = (info.if_index != 0).then_some(info.if_index)?;
        // SAFETY: a driver's name is a static string.
        let driver = unsafe { CStr::from_ptr(info.driver_name) }.to_str().unwrap_or_default();
        let kind = match driver {
            "net_tap" => {
                name_of(index).and_then(|name| queue_of(&name)).map_or(Kind::Other, Kind::Tap)
            }
            driver if SOCKETS.contains(&driver) => Kind::Socket,
            _ => Kind::Other,
        };
        Some(Self { index, kind })
    }

    /// Whether the port can never again carry a frame.
    pub fn is_gone(&self) -> bool {
        match &self.kind {
            Kind::Tap(queue) => poll(queue) & libc::POLLERR != 0,
            Kind::Socket => name_of(self.index).is_none(),
            Kind::Other => false,
        }
    }

    /// The link, where this is what the driver says of it.
    pub fn judge(&self, said: LinkState) -> LinkState {
        let is_gone = self.is_gone();
        let up = match (&self.kind, name_of(self.index)) {
            _ if is_gone => false,
            (Kind::Socket, Some(name)) => has_carrier(&name),
            (_, Some(_)) => said.up,
            // The kernel takes frames for an interface that is up.
            (Kind::Tap(queue), None) => poll(queue) & libc::POLLOUT != 0,
            (Kind::Socket | Kind::Other, None) => true,
        };
        LinkState { up, is_gone, ..said }
    }
}

/// Whether there is a kernel interface of this name in our network namespace.
pub fn has_interface(name: &str) -> bool {
    // SAFETY: the name is a C string.
    CString::new(name).is_ok_and(|name| unsafe { libc::if_nametoindex(name.as_ptr()) } != 0)
}

/// Whether there is a kernel interface of this name and something carries its frames: of a tap, a process that has it open.
pub fn has_carrier(interface: &str) -> bool {
    let Ok(socket) = UnixDatagram::unbound() else { return false };
    // SAFETY: a request of zeros is valid, and the last one ends the name; the kernel writes the flags.
    unsafe {
        let mut request: libc::ifreq = mem::zeroed();
        if interface.len() >= request.ifr_name.len() {
            return false;
        }
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *to = from as c_char;
        }
        libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request) == 0
            && i32::from(request.ifr_ifru.ifru_flags) & libc::IFF_RUNNING != 0
    }
}

/// The name of an interface in our network namespace.
fn name_of(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the name has the room that the call asks for, which ends it with NUL.
    let name = unsafe {
        let found = libc::if_indextoname(index, name.as_mut_ptr());
        (!found.is_null()).then(|| CStr::from_ptr(found))?
    };
    name.to_str().ok().map(str::to_owned)
}

/// A file of this process that is a queue of a tap, as proc_pid_fdinfo(5) tells it.
fn queue_of(tap: &str) -> Option<OwnedFd> {
    let line = format!("iff:\t{tap}");
    let mut files = fs::read_dir("/proc/self/fdinfo").ok()?.flatten();
    let number: RawFd = files.find_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        text.lines().any(|of| of == line).then(|| file.file_name().to_str()?.parse().ok())?
    })?;
    // SAFETY: the driver keeps it open, as its port runs.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().ok()
}

/// What can be done with a tap's queue: POLLOUT where its interface is up, POLLERR where it is deleted.
fn poll(queue: &OwnedFd) -> i16 {
    let mut of = libc::pollfd { fd: queue.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one element, written by the call, which does not wait.
    unsafe { libc::poll(&mut of, 1, 0) };
    of.revents
}
