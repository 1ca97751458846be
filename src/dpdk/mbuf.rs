//! The packet buffer, owned.

use std::mem;
use std::ptr::NonNull;

use dpdk_sys::rte_mbuf;

use super::mempool::Mempool;

/// A packet: one segment or a chain of them. One owner; dropping it gives every segment back to its pool.
///
/// Clones made by [`Mbuf::share`] are further mbufs that point at the same bytes, so packet bytes
/// are handed out for writing only while nobody else can see them.
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: an mbuf is owned by its handle and freed by any lcore; its reference count is atomic.
unsafe impl Send for Mbuf {}

/// What the device says of a checksum (`RTE_MBUF_F_RX_IP_CKSUM_MASK` and its L4 sister).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Not looked at.
    Unknown,
    /// Verified and right.
    Good,
    /// Verified and wrong, or not computed by the sender at all.
    Bad,
}

impl Mbuf {
    /// Takes over what DPDK returned; null is `None`.
    ///
    /// # Safety
    /// The pointer is null or an mbuf that nobody else owns.
    #[inline]
    pub(super) unsafe fn from_raw(pointer: *mut rte_mbuf) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// Gives the mbuf away to DPDK.
    #[inline]
    pub(super) fn into_raw(self) -> *mut rte_mbuf {
        let pointer = self.0.as_ptr();
        mem::forget(self);
        pointer
    }

    /// The mbuf, for calls that leave it ours.
    pub(super) fn as_raw(&mut self) -> *mut rte_mbuf {
        self.0.as_ptr()
    }

    #[inline]
    pub(super) fn header(&self) -> &rte_mbuf {
        // SAFETY: owned, hence alive and initialised.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(super) fn header_mut(&mut self) -> &mut rte_mbuf {
        // SAFETY: owned; clones of the bytes do not touch this header but for `refcnt`, which we
        // change through DPDK only.
        unsafe { self.0.as_mut() }
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        let header = self.header();
        // SAFETY: data_off is within the buffer, which DPDK and the methods below maintain.
        unsafe { header.buf_addr.cast::<u8>().add(usize::from(header.data_off)) }
    }

    /// Bytes of the whole packet.
    #[inline]
    pub fn len(&self) -> usize {
        self.header().pkt_len as usize
    }

    /// Whether the packet has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Segments in the chain.
    #[inline]
    pub fn segments(&self) -> u16 {
        self.header().nb_segs
    }

    /// The bytes of the first segment.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: data_len initialised bytes start there; writers need `&mut` or an unshared buffer.
        unsafe { std::slice::from_raw_parts(self.start(), usize::from(self.header().data_len)) }
    }

    /// The bytes of each segment.
    #[inline]
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut next = Some(self.0);
        std::iter::from_fn(move || {
            // SAFETY: the chain is ours, and each `next` is null or a segment of it.
            let header = unsafe { next?.as_ref() };
            next = NonNull::new(header.next);
            // SAFETY: data_len initialised bytes start at data_off, as in `data`.
            Some(unsafe {
                let start = header.buf_addr.cast::<u8>().add(usize::from(header.data_off));
                std::slice::from_raw_parts(start, usize::from(header.data_len))
            })
        })
    }

    /// The bytes of the first segment for writing, unless a clone shares them.
    #[inline]
    pub fn data_mut(&mut self) -> Option<&mut [u8]> {
        if self.is_shared() {
            return None;
        }
        let (start, length) = (self.start(), usize::from(self.header().data_len));
        // SAFETY: as in `data`, and nobody else points at this buffer.
        Some(unsafe { std::slice::from_raw_parts_mut(start, length) })
    }

    /// Whether another mbuf points at the same bytes, or these lie in another mbuf's buffer.
    #[inline]
    pub fn is_shared(&self) -> bool {
        let header = self.header();
        header.refcnt != 1 || header.ol_flags & dpdk_sys::SHIM_MBUF_ATTACHED != 0
    }

    /// Brings the first bytes of the packet into the cache.
    #[inline]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.start().cast());
        }
    }

    /// Grows the packet by `count` bytes at the front and returns those for writing. `None` where the
    /// headroom is too small, or the buffer is another mbuf's.
    #[inline]
    pub fn prepend(&mut self, count: usize) -> Option<&mut [u8]> {
        let header = self.header_mut();
        if usize::from(header.data_off) < count
            || header.ol_flags & dpdk_sys::SHIM_MBUF_ATTACHED != 0
        {
            return None;
        }
        header.data_off -= count as u16;
        header.data_len += count as u16;
        header.pkt_len += count as u32;
        // SAFETY: within the buffer by the check above. Clones see bytes behind the old start only.
        Some(unsafe { std::slice::from_raw_parts_mut(self.start(), count) })
    }

    /// Removes `count` bytes at the front of the first segment; `false` where it has fewer.
    #[inline]
    pub fn trim_front(&mut self, count: usize) -> bool {
        let header = self.header_mut();
        if usize::from(header.data_len) < count {
            return false;
        }
        header.data_off += count as u16;
        header.data_len -= count as u16;
        header.pkt_len -= count as u32;
        true
    }

    /// Shortens the packet to `length` bytes (an Ethernet frame may carry padding behind its IP
    /// packet). `false` for a chain whose last segment is shorter than what must go.
    #[inline]
    pub fn truncate(&mut self, length: usize) -> bool {
        let excess = self.len().saturating_sub(length);
        if excess == 0 {
            return true;
        }
        let mut last = self.0;
        // SAFETY: the chain is ours, and each `next` is null or a segment.
        unsafe {
            while let Some(next) = NonNull::new(last.as_ref().next) {
                last = next;
            }
            if usize::from(last.as_ref().data_len) < excess {
                return false;
            }
            last.as_mut().data_len -= excess as u16;
        }
        self.header_mut().pkt_len -= excess as u32;
        true
    }

    /// Keeps the bytes from `start` to `end`, counted from the first; `false`, and perhaps shortened, where the
    /// first segment ends before `start`, or a chain's last segment is shorter than what must go behind `end`.
    #[inline(always)]
    pub fn narrow(&mut self, start: usize, end: usize) -> bool {
        let header = self.header_mut();
        if header.nb_segs != 1 {
            return self.truncate(end) && self.trim_front(start);
        }
        if start > end || end > usize::from(header.data_len) {
            return false;
        }
        header.data_off += start as u16;
        header.data_len = (end - start) as u16;
        header.pkt_len = (end - start) as u32;
        true
    }

    /// Bytes that the first segment's buffer has behind the data.
    pub fn room(&self) -> usize {
        let header = self.header();
        usize::from(header.buf_len)
            .saturating_sub(usize::from(header.data_off) + usize::from(header.data_len))
    }

    /// Appends bytes to a one-segment packet; `false` where the buffer ends before.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        if self.room() < bytes.len() || self.segments() != 1 || self.is_shared() {
            return false;
        }
        // SAFETY: `room` bytes of the buffer lie behind the data, and nobody else sees them.
        unsafe {
            let end = self.start().add(self.data().len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len());
        }
        let header = self.header_mut();
        header.data_len += bytes.len() as u16;
        header.pkt_len += bytes.len() as u32;
        true
    }

    /// Writes bytes at a place counted from the first, in a one-segment packet that then is at least as long as they reach;
    /// what lies between is whatever the buffer held before. `false` where the buffer ends before.
    pub fn place(&mut self, at: usize, bytes: &[u8]) -> bool {
        let header = self.header();
        let (room, end) = (usize::from(header.buf_len), at + bytes.len());
        if usize::from(header.data_off) + end > room || header.nb_segs != 1 || self.is_shared() {
            return false;
        }
        // SAFETY: all of it lies within the buffer, which nobody else sees.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start().add(at), bytes.len()) };
        let header = self.header_mut();
        header.data_len = header.data_len.max(end as u16);
        header.pkt_len = header.data_len.into();
        true
    }

    /// A further mbuf (or chain) from `pool` that points at the same bytes; nothing is copied.
    /// `None` when the pool is empty.
    #[inline]
    pub fn share(&mut self, pool: &Mempool) -> Option<Mbuf> {
        // SAFETY: both are valid; DPDK raises the reference count of every segment.
        unsafe {
            Mbuf::from_raw(dpdk_sys::rte_pktmbuf_clone(self.0.as_ptr().cast(), pool.as_ptr()))
        }
    }

    /// A copy of the bytes, for devices that cannot send chains. `None` when the pool is empty.
    pub fn copy(&self, pool: &Mempool) -> Option<Mbuf> {
        // SAFETY: both are valid; the source is only read.
        unsafe {
            Mbuf::from_raw(dpdk_sys::rte_pktmbuf_copy(
                self.0.as_ptr().cast_const(),
                pool.as_ptr(),
                0,
                u32::MAX,
            ))
        }
    }

    /// Puts `rest` behind this one-segment packet: outer headers before shared bytes.
    #[inline]
    pub fn chain(&mut self, rest: Mbuf) {
        debug_assert_eq!(self.segments(), 1);
        let (segments, length) = (rest.segments(), rest.header().pkt_len);
        let next = rest.into_raw();
        let header = self.header_mut();
        header.next = next;
        header.nb_segs += segments;
        header.pkt_len += length;
    }

    /// Notes the control word of a VLAN tag that was taken off, as devices do that strip tags.
    #[inline]
    pub fn note_tag(&mut self, control: u16) {
        let header = self.header_mut();
        header.ol_flags |= dpdk_sys::SHIM_MBUF_RX_VLAN_STRIPPED;
        header.vlan_tci = control;
    }

    /// Priority and drop eligibility of the tag that was taken off, at their place in a control word; zero where there was none.
    #[inline]
    pub fn priority(&self) -> u16 {
        let header = self.header();
        let has_had_tag = header.ol_flags & dpdk_sys::SHIM_MBUF_RX_VLAN_STRIPPED != 0;
        if has_had_tag { header.vlan_tci & 0xf000 } else { 0 }
    }

    /// Takes over what was noted of another mbuf's packet, by its device or here.
    pub fn take_notes(&mut self, other: &Self) {
        let other = other.header();
        let header = self.header_mut();
        header.ol_flags |= other.ol_flags & !dpdk_sys::SHIM_MBUF_ATTACHED;
        (header.vlan_tci, header.vlan_tci_outer) = (other.vlan_tci, other.vlan_tci_outer);
    }

    /// Notes a number that goes on with the packet, where devices note the outer of two tags.
    pub fn note(&mut self, number: u16) {
        let header = self.header_mut();
        header.ol_flags |= dpdk_sys::SHIM_MBUF_RX_QINQ_STRIPPED;
        header.vlan_tci_outer = number;
    }

    /// The number that was noted, if one was.
    pub fn noted(&self) -> Option<u16> {
        let header = self.header();
        let is_noted = header.ol_flags & dpdk_sys::SHIM_MBUF_RX_QINQ_STRIPPED != 0;
        is_noted.then_some(header.vlan_tci_outer)
    }

    /// Has the device compute the checksum of a UDP datagram behind Ethernet and IP without options or extension headers.
    /// In the checksum's place is the sum of the pseudo-header, as DPDK's `rte_eth_tx_prepare` would write it.
    #[inline]
    pub fn have_udp_checksum_computed(&mut self, over_ipv6: bool) {
        let (version, ip): (u64, u64) = match over_ipv6 {
            false => (dpdk_sys::SHIM_MBUF_TX_IPV4, 20),
            true => (dpdk_sys::SHIM_MBUF_TX_IPV6, 40),
        };
        let (ethernet, udp) = (14, 8);
        let header = self.header_mut();
        header.ol_flags |= dpdk_sys::SHIM_MBUF_TX_UDP_CKSUM | version;
        header.tx_offload =
            ethernet | ip << dpdk_sys::SHIM_MBUF_L3_LEN_OFS | udp << dpdk_sys::SHIM_MBUF_L4_LEN_OFS;
    }

    /// The device's verdict on the IPv4 header checksum.
    #[inline]
    pub fn ip_checksum(&self) -> Checksum {
        let flags = self.header().ol_flags & dpdk_sys::SHIM_MBUF_RX_IP_CKSUM_MASK;
        Checksum::read(flags, dpdk_sys::SHIM_MBUF_RX_IP_CKSUM_GOOD)
    }

    /// The device's verdict on the TCP or UDP checksum.
    #[inline]
    pub fn l4_checksum(&self) -> Checksum {
        let flags = self.header().ol_flags & dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_MASK;
        Checksum::read(flags, dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_GOOD)
    }
}

impl Checksum {
    #[inline]
    fn read(flags: u64, good: u64) -> Self {
        match flags {
            0 => Checksum::Unknown,
            flags if flags == good => Checksum::Good,
            _ => Checksum::Bad,
        }
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: owned; DPDK frees the chain, or drops one reference of shared segments.
        unsafe { dpdk_sys::shim_pktmbuf_free(self.0.as_ptr().cast()) }
    }
}
