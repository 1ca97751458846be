//! Whether a port carries frames.

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it carries frames.
    pub up: bool,
    /// Whether it never will again: the port's kernel interface is deleted, or was moved to where its driver has lost it.
    pub is_gone: bool,
    /// Mbit/s, where the driver knows.
    pub speed_mbps: Option<u32>,
}

/// What a port's driver says of its link, without waiting for it.
pub(super) fn link(id: u16) -> LinkState {
    let (mut speed, mut up) = (0, 0);
    // SAFETY: both are written by the call; a failure leaves 'down'.
    unsafe { dpdk_sys::shim_link(id, &mut speed, &mut up) };
    let known = speed != 0 && speed != dpdk_sys::SHIM_SPEED_UNKNOWN;
    LinkState { up: up != 0, is_gone: false, speed_mbps: known.then_some(speed) }
}
