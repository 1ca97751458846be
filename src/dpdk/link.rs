//! Whether a port carries frames.

use std::mem;

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
