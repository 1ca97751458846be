//! What changes at a running port without our doing.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::error::{Result, check};
use super::offload::Offloads;

/// A port's other side, as it is now. Written by the driver's thread or the control core, read by workers where
/// something is out of the ordinary.
pub struct PortState {
    /// Whether the driver tells of changes.
    told: bool,
    up: AtomicBool,
    /// Whether frames need not even be offered.
    closed: AtomicBool,
    /// A bit for each transmit queue.
    served: AtomicU64,
    offloads: AtomicU8,
}

impl PortState {
    /// Of a device whose driver tells nothing.
    fn untold() -> Self {
        Self::new(false, true, u64::MAX)
    }

    /// Of a vhost-user device that no guest is attached to.
    fn vacant() -> Self {
        Self::new(true, false, 0)
    }

    fn new(told: bool, up: bool, served: u64) -> Self {
        let (up, served) = (AtomicBool::new(up), AtomicU64::new(served));
        Self { told, up, closed: AtomicBool::new(false), served, offloads: AtomicU8::new(0) }
    }

    /// Whether the other side chooses which transmit queues it serves, and whether it is there at all.
    pub fn changes(&self) -> bool {
        self.told
    }

    /// Whether the link is up.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether there is no link, and the device would take frames all the same: to send them late, or never.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether the other side takes frames from this transmit queue: guests need not use all that they are offered.
    pub fn serves(&self, queue: u16) -> bool {
        self.served.load(Ordering::Relaxed) & bit(queue) != 0
    }

    /// What it does of what a frame's sender left to its device.
    pub fn offloads(&self) -> Offloads {
        Offloads::from_bits(self.offloads.load(Ordering::Relaxed))
    }

    pub(super) fn set_offloads(&self, offloads: Offloads) {
        self.offloads.store(offloads.bits(), Ordering::Relaxed);
    }

    pub(super) fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    pub(super) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
    }

    fn set_served(&self, queue: u16, served: bool) {
        if served {
            self.served.fetch_or(bit(queue), Ordering::Relaxed);
        } else {
            self.served.fetch_and(!bit(queue), Ordering::Relaxed);
        }
    }
}

fn bit(queue: u16) -> u64 {
    1u64.checked_shl(queue.into()).unwrap_or(0)
}

/// Keeps a port's state true for as long as it lives.
pub(super) struct Watch {
    port: u16,
    state: Arc<PortState>,
}

type Callback = unsafe extern "C" fn(u16, u32, *mut c_void, *mut c_void) -> i32;

const CALLBACKS: [(u32, Callback); 2] = [
    (dpdk_sys::RTE_ETH_EVENT_INTR_LSC, link_changed),
    (dpdk_sys::RTE_ETH_EVENT_QUEUE_STATE, queue_changed),
];

impl Watch {
    /// Of a vhost-user device, whose driver tells of guests that come and go, or of any other.
    ///
    /// # Errors
    /// No memory.
    pub fn new(port: u16, guest: bool, subject: &str) -> Result<Self> {
        if !guest {
            return Ok(Self { port, state: Arc::new(PortState::untold()) });
        }
        let watch = Self { port, state: Arc::new(PortState::vacant()) };
        for (event, callback) in CALLBACKS {
            // SAFETY: the state lives until `drop` has taken the callbacks away.
            check("rte_eth_dev_callback_register", subject, unsafe {
                dpdk_sys::rte_eth_dev_callback_register(port, event, Some(callback), watch.told())
            })?;
        }
        Ok(watch)
    }

    /// What is watched.
    pub fn state(&self) -> Arc<PortState> {
        self.state.clone()
    }

    /// What callbacks write to.
    fn told(&self) -> *mut c_void {
        Arc::as_ptr(&self.state).cast_mut().cast()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.state.told {
            return;
        }
        for (event, callback) in CALLBACKS {
            let told = self.told();
            // SAFETY: plain call.
            let unregister = || unsafe {
                dpdk_sys::rte_eth_dev_callback_unregister(self.port, event, Some(callback), told)
            };
            // As long as the callback is running.
            while unregister() == -libc::EAGAIN {
                std::thread::yield_now();
            }
        }
    }
}

unsafe extern "C" fn link_changed(port: u16, _: u32, state: *mut c_void, _: *mut c_void) -> i32 {
    // SAFETY: `Watch` keeps it alive.
    look_at_guest(port, unsafe { &*state.cast::<PortState>() });
    0
}

/// Notes whether a guest is there, and what it negotiated.
pub(super) fn look_at_guest(port: u16, state: &PortState) {
    let (up, mut features) = (super::link::link(port).up, 0);
    if up {
        // SAFETY: written by the call; a guest that is gone again leaves 0.
        unsafe { dpdk_sys::shim_vhost_features(port, &mut features) };
    } else {
        state.served.store(0, Ordering::Relaxed);
    }
    state.set_offloads(Offloads::of_guest(features));
    state.set_up(up);
}

unsafe extern "C" fn queue_changed(port: u16, _: u32, state: *mut c_void, _: *mut c_void) -> i32 {
    // SAFETY: as above.
    let state = unsafe { &*state.cast::<PortState>() };
    let mut event = dpdk_sys::rte_eth_vhost_queue_event::default();
    // SAFETY: written by the call, which returns other than 0 when there is no event left.
    while unsafe { dpdk_sys::rte_eth_vhost_get_queue_event(port, &mut event) } == 0 {
        if !event.rx {
            state.set_served(event.queue_id, event.enable);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_told_apart() {
        let state = PortState::vacant();
        state.set_served(63, true);
        state.set_served(0, true);
        assert!(state.serves(0) && !state.serves(1) && state.serves(63) && !state.serves(64));
        state.set_served(63, false);
        assert!(state.serves(0) && !state.serves(63));
    }
}
