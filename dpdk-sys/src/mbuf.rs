//! `struct rte_mbuf` by offset.
//!
//! The fields stand where they stood in 22.11 in every release since, but their paths in C moved
//! in and out of anonymous unions. Laid out by hand, one Rust type serves all of them; `shim.c`
//! asserts every offset at compile time. All that differs between DPDK releases belongs here.

use std::ffi::c_void;

/// A packet buffer (DPDK Programmer's Guide, "Mbuf Library").
#[allow(non_camel_case_types)]
#[repr(C, align(64))]
pub struct rte_mbuf {
    /// Start of the segment's buffer.
    pub buf_addr: *mut c_void,
    /// The buffer's I/O address.
    pub buf_iova: u64,
    /// Bytes from `buf_addr` to the first byte of the packet.
    pub data_off: u16,
    /// Owners of this buffer; DPDK changes it atomically.
    pub refcnt: u16,
    /// Segments of the packet, in its first segment.
    pub nb_segs: u16,
    /// The port it came in by.
    pub port: u16,
    /// `RTE_MBUF_F_*`.
    pub ol_flags: u64,
    /// Packet type, as the device saw it.
    pub packet_type: u32,
    /// Bytes of the whole packet, in its first segment.
    pub pkt_len: u32,
    /// Bytes of this segment.
    pub data_len: u16,
    /// VLAN tag that the device stripped.
    pub vlan_tci: u16,
    /// RSS hash, if the device gave one.
    pub rss: u32,
    hash_high: u32,
    /// The outer of two tags, likewise.
    pub vlan_tci_outer: u16,
    /// Bytes of the segment's buffer.
    pub buf_len: u16,
    /// The pool it belongs to.
    pub pool: *mut c_void,
    /// The next segment.
    pub next: *mut rte_mbuf,
    /// Lengths of headers, and of the segments that a device makes: bit fields, `SHIM_MBUF_*_OFS` in `shim.h`.
    pub tx_offload: u64,
    second_line: [u64; 6],
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<rte_mbuf>() == 128);
    assert!(offset_of!(rte_mbuf, data_off) == 16);
    assert!(offset_of!(rte_mbuf, refcnt) == 18);
    assert!(offset_of!(rte_mbuf, nb_segs) == 20);
    assert!(offset_of!(rte_mbuf, port) == 22);
    assert!(offset_of!(rte_mbuf, ol_flags) == 24);
    assert!(offset_of!(rte_mbuf, pkt_len) == 36);
    assert!(offset_of!(rte_mbuf, data_len) == 40);
    assert!(offset_of!(rte_mbuf, vlan_tci) == 42);
    assert!(offset_of!(rte_mbuf, rss) == 44);
    assert!(offset_of!(rte_mbuf, vlan_tci_outer) == 52);
    assert!(offset_of!(rte_mbuf, buf_len) == 54);
    assert!(offset_of!(rte_mbuf, pool) == 56);
    assert!(offset_of!(rte_mbuf, next) == 64);
    assert!(offset_of!(rte_mbuf, tx_offload) == 72);
};
