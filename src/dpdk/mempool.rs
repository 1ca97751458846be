//! Pools of packet buffers.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use super::error::{Error, Result};
use super::mbuf::Mbuf;

/// A pool of mbufs on one NUMA node. It lives until EAL ends, because any mbuf may still point to it.
#[derive(Clone)]
pub struct Mempool {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    size: u32,
    pool: NonNull<dpdk_sys::rte_mempool>,
}

// SAFETY: rte_mempool is multi-producer, multi-consumer; its per-lcore caches are indexed by lcore.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Mempool {
    /// Bytes before a received packet, room for outer headers.
    pub const HEADROOM: u32 = dpdk_sys::SHIM_PKTMBUF_HEADROOM;
    /// Mbufs that each lcore keeps to itself, the most that DPDK has room for. The last to come home go out first, which the CPU's caches
    /// still hold; what is under way at once must be less, or each one comes from the pool's far end.
    const CACHE: u32 = 512;

    /// A pool of `size` mbufs with room for `data_room` packet bytes behind the headroom.
    ///
    /// # Errors
    /// No memory.
    pub fn new(name: &str, size: u32, data_room: u16, socket: i32) -> Result<Self> {
        super::log::take_last_error();
        let c_name = CString::new(name)
            .map_err(|_| Error::plain("rte_pktmbuf_pool_create", name, "a NUL in its name"))?;
        let room = data_room.saturating_add(Self::HEADROOM as u16);
        let cache = Self::CACHE.min(size * 2 / 3);
        // SAFETY: plain call; the name is copied.
        let pool = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(c_name.as_ptr(), size, cache, 0, room, socket)
        };
        let pool =
            NonNull::new(pool).ok_or_else(|| Error::last("rte_pktmbuf_pool_create", name))?;
        Ok(Self { inner: Arc::new(Inner { name: name.to_owned(), size, pool }) })
    }

    /// Bytes of memory that a pool takes in pages of so many bytes: none of its mbufs lies in two, unless it is longer than one.
    pub fn bytes(size: u32, data_room: u16, page: u64) -> u64 {
        let mbuf = size_of::<dpdk_sys::rte_mbuf>() as u32 + Self::HEADROOM + u32::from(data_room);
        // SAFETY: it computes, and may be told not to write down its steps.
        let whole = unsafe { dpdk_sys::rte_mempool_calc_obj_size(mbuf, 0, std::ptr::null_mut()) };
        let (whole, size) = (u64::from(whole), u64::from(size));
        match page / whole {
            0 => size * whole.next_multiple_of(page),
            in_a_page => size.div_ceil(in_a_page) * page,
        }
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// All its mbufs.
    pub fn size(&self) -> u32 {
        self.inner.size
    }

    /// Mbufs that are out: with devices, in rings, or lost. A walk over all caches: not for workers.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool lives as long as EAL.
        self.inner.size.saturating_sub(unsafe { dpdk_sys::rte_mempool_avail_count(self.as_ptr()) })
    }

    /// An empty mbuf, or `None` when the pool is.
    #[inline]
    pub fn allocate(&self) -> Option<Mbuf> {
        // SAFETY: the pool is a packet-mbuf pool; a non-null result is ours alone.
        unsafe { Mbuf::from_raw(dpdk_sys::shim_pktmbuf_alloc(self.as_ptr())) }
    }

    pub(super) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.inner.pool.as_ptr()
    }
}
