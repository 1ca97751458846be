//! A lock-free ring that hands mbufs from many lcores to one.

use std::ffi::CString;
use std::ptr::NonNull;

use arrayvec::ArrayVec;

use super::burst::{BURST, Burst};
use super::error::{Error, Result};
use super::mbuf::Mbuf;

/// A multi-producer, single-consumer ring of packets (DPDK Programmer's Guide, "Ring Library").
/// Packets still in it are freed when it is dropped.
pub struct MbufRing {
    ring: NonNull<dpdk_sys::rte_ring>,
}

// SAFETY: any lcore may enqueue; `dequeue` is called by one lcore only (its contract).
unsafe impl Send for MbufRing {}
// SAFETY: as above.
unsafe impl Sync for MbufRing {}

impl MbufRing {
    /// A ring for `size - 1` packets; `size` is a power of two.
    ///
    /// # Errors
    /// No memory, a name in use, or a wrong size.
    pub fn new(name: &str, size: u32, socket: i32) -> Result<Self> {
        let c_name = CString::new(name)
            .map_err(|_| Error::plain("rte_ring_create", name, "a NUL in its name"))?;
        // SAFETY: plain call; the name is copied.
        let ring = unsafe {
            dpdk_sys::rte_ring_create(c_name.as_ptr(), size, socket, dpdk_sys::RING_F_SC_DEQ)
        };
        let ring = NonNull::new(ring).ok_or_else(|| Error::last("rte_ring_create", name))?;
        Ok(Self { ring })
    }

    /// Puts packets into the ring and takes them out of the vector; those without room stay in it. Returns
    /// how many the ring took.
    #[inline]
    pub fn enqueue<const N: usize>(&self, packets: &mut ArrayVec<Mbuf, N>) -> usize {
        let first = packets.as_mut_ptr().cast::<*mut std::ffi::c_void>();
        let total = packets.len() as u32;
        // SAFETY: `total` pointers that we own; the first `taken` of them belong to the ring now.
        unsafe {
            let taken =
                dpdk_sys::shim_ring_enqueue_burst(self.ring.as_ptr(), first, total) as usize;
            super::burst::forget_front(packets, taken);
            taken
        }
    }

    /// Appends waiting packets to an empty burst. Only one lcore may ever call this.
    #[inline]
    pub fn dequeue(&self, burst: &mut Burst) {
        debug_assert!(burst.is_empty());
        let room = burst.as_mut_ptr().cast::<*mut std::ffi::c_void>();
        // SAFETY: room for BURST pointers; what comes out was put in by `enqueue` and is ours now.
        unsafe {
            let count =
                dpdk_sys::shim_ring_dequeue_burst(self.ring.as_ptr(), room, BURST as u32) as usize;
            burst.set_len(count);
        }
    }
}

impl Drop for MbufRing {
    fn drop(&mut self) {
        let mut burst = Burst::new();
        loop {
            self.dequeue(&mut burst);
            if burst.is_empty() {
                break;
            }
            burst.clear();
        }
        // SAFETY: nobody else holds the ring any more.
        unsafe { dpdk_sys::rte_ring_free(self.ring.as_ptr()) };
    }
}
