//! Receive and transmit queues of a started port.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::burst::{BURST, Burst};
use super::mbuf::Mbuf;
use super::port::Started;

/// Makes a handle `!Sync`: one lcore at a time polls a queue (DPDK Programmer's Guide, "Poll Mode
/// Driver", lock-free interface).
type NotSync = PhantomData<Cell<()>>;

/// Bytes from which packets are long: more than any wire carries.
const LONG: u64 = 16 << 10;
/// Long packets that are taken at once.
const FEW: u16 = 4;

/// A receive queue; its holder is the one lcore that polls it.
pub struct RxQueue {
    port: Arc<Started>,
    queue: u16,
    /// Packets of the next burst, at most.
    most: u16,
    not_sync: NotSync,
}

/// A transmit queue; its holder is the one lcore that sends on it.
pub struct TxQueue {
    port: Arc<Started>,
    queue: u16,
    not_sync: NotSync,
}

impl RxQueue {
    pub(super) fn new(port: Arc<Started>, queue: u16) -> Self {
        Self { port, queue, most: BURST as u16, not_sync: PhantomData }
    }

    /// The queue's number on its port.
    pub fn number(&self) -> u16 {
        self.queue
    }

    /// Tells it of the last burst. Of long packets, which guests leave to be cut, few are taken at once, so that the CPU's caches hold
    /// them until they are.
    #[inline]
    pub fn note(&mut self, packets: u64, bytes: u64) {
        self.most = if bytes > packets * LONG { FEW } else { BURST as u16 };
    }

    /// Appends what has arrived to an empty burst.
    #[inline]
    pub fn receive(&mut self, burst: &mut Burst) {
        debug_assert!(burst.is_empty());
        let room = burst.as_mut_ptr().cast::<*mut dpdk_sys::rte_mbuf>();
        // SAFETY: the burst is empty and has room for BURST pointers; Mbuf is a transparent pointer;
        // DPDK fills the first `count` of them with mbufs that are ours from then on.
        unsafe {
            let count =
                dpdk_sys::shim_eth_rx_burst(self.port.id, self.queue, room.cast(), self.most);
            burst.set_len(usize::from(count));
        }
    }
}

impl TxQueue {
    /// Full queues are tried again this often before the rest of a burst is given up.
    const RETRIES: usize = 16;

    pub(super) fn new(port: Arc<Started>, queue: u16) -> Self {
        Self { port, queue, not_sync: PhantomData }
    }

    /// The queue's number on its port.
    pub fn number(&self) -> u16 {
        self.queue
    }

    /// Lets the driver send frames of its own.
    pub fn turn(&mut self) {
        // SAFETY: no packets; the port is started.
        unsafe {
            dpdk_sys::shim_eth_tx_burst(self.port.id, self.queue, std::ptr::null_mut(), 0);
        }
    }

    /// Sends the packets and takes them out of the vector; those that the device did not take in bounded
    /// time stay in it. Returns how many were sent.
    #[inline]
    pub fn send<const N: usize>(&mut self, packets: &mut ArrayVec<Mbuf, N>) -> usize {
        let total = packets.len();
        let first = packets.as_mut_ptr().cast::<*mut dpdk_sys::rte_mbuf>();
        let mut sent = 0;
        for _ in 0..=Self::RETRIES {
            // SAFETY: the pointers from `sent` to `total` are mbufs that we own.
            sent += usize::from(unsafe {
                dpdk_sys::shim_eth_tx_burst(
                    self.port.id,
                    self.queue,
                    first.add(sent).cast(),
                    (total - sent) as u16,
                )
            });
            if sent == total {
                break;
            }
        }
        // SAFETY: the first `sent` belong to the device now.
        unsafe { super::burst::forget_front(packets, sent) };
        sent
    }
}
