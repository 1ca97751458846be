//! Whether a port carries frames.

use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it carries frames.
    pub up: bool,
    /// Mbit/s, where the driver knows.
    pub speed_mbps: Option<u32>,
}

/// The link of a port, without waiting for it. A tap that was moved to another network namespace cannot be seen from here, and
/// its driver takes that for a lost link: it counts as up.
pub(super) fn link(id: u16) -> LinkState {
    let (mut speed, mut up) = (0, 0);
    // SAFETY: both are written by the call; a failure leaves 'down'.
    unsafe { dpdk_sys::shim_link(id, &mut speed, &mut up) };
    let known = speed != 0 && speed != dpdk_sys::SHIM_SPEED_UNKNOWN;
    LinkState { up: up != 0 || is_elsewhere(id), speed_mbps: known.then_some(speed) }
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
            *to = from as libc::c_char;
        }
        libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request) == 0
            && i32::from(request.ifr_ifru.ifru_flags) & libc::IFF_RUNNING != 0
    }
}

/// Whether a port's kernel interface is in another network namespace.
fn is_elsewhere(id: u16) -> bool {
    // SAFETY: plain data that the call fills, and zero where it fails; the name has the room that the call asks for.
    unsafe {
        let mut info: dpdk_sys::rte_eth_dev_info = mem::zeroed();
        let mut name = [0; libc::IF_NAMESIZE];
        dpdk_sys::rte_eth_dev_info_get(id, &mut info) == 0
            && info.if_index != 0
            && libc::if_indextoname(info.if_index, name.as_mut_ptr()).is_null()
    }
}
