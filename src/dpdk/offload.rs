//! Work that a frame's sender leaves to its device: checksums, and cutting what is longer than a packet.

use std::num::NonZeroU16;

use super::mbuf::Mbuf;

/// What a port's other side does for those who send to it: a NIC before the wire, or a guest instead of wanting it done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads(u8);

impl Offloads {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Checksums of TCP and UDP.
    pub const CHECKSUMS: Self = Self(1);
    /// Segments of TCP over IPv4, checksums included.
    pub const TCP4_SEGMENTS: Self = Self(2);
    /// Segments of TCP over IPv6, checksums included.
    pub const TCP6_SEGMENTS: Self = Self(4);
    /// Checksums within VXLAN over IPv4.
    pub const INNER_CHECKSUMS: Self = Self(8);
    /// Segments of TCP within VXLAN over IPv4, with all headers and checksums.
    pub const INNER_SEGMENTS: Self = Self(16);

    /// These and others.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of the others are among these.
    pub fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// What is in both.
    pub fn only(self, wanted: Self) -> Self {
        Self(self.0 & wanted.0)
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Of a device, by what its driver says (`rte_eth_dev_info`).
    pub(super) fn of_device(info: &dpdk_sys::rte_eth_dev_info) -> Self {
        // A TCP packet of 64 KiB lies in so many mbufs, with one for outer headers.
        const LONGEST_CHAIN: u16 = 40;
        let can = |offloads: u64| info.tx_offload_capa & offloads == offloads;
        let chains = can(dpdk_sys::SHIM_TX_OFFLOAD_MULTI_SEGS)
            && info.tx_desc_lim.nb_seg_max >= LONGEST_CHAIN;
        let mut offloads = Self::NONE;
        if can(CHECKSUMS) {
            offloads = offloads.and(Self::CHECKSUMS);
        }
        if can(CHECKSUMS | SEGMENTS) && chains {
            offloads = offloads.and(Self::TCP4_SEGMENTS).and(Self::TCP6_SEGMENTS);
        }
        if can(CHECKSUMS | OUTER) {
            offloads = offloads.and(Self::INNER_CHECKSUMS);
        }
        if can(CHECKSUMS | OUTER | SEGMENTS | INNER_SEGMENTS) && chains {
            offloads = offloads.and(Self::INNER_SEGMENTS);
        }
        offloads
    }

    /// Of a guest, by the features that it negotiated (Virtual I/O Device 1.1 section 5.1.3).
    pub(super) fn of_guest(features: u64) -> Self {
        let has = |feature: u32| features & 1 << feature != 0;
        if !has(dpdk_sys::VIRTIO_NET_F_GUEST_CSUM) {
            return Self::NONE;
        }
        let mut offloads = Self::CHECKSUMS;
        for (feature, offload) in [
            (dpdk_sys::VIRTIO_NET_F_GUEST_TSO4, Self::TCP4_SEGMENTS),
            (dpdk_sys::VIRTIO_NET_F_GUEST_TSO6, Self::TCP6_SEGMENTS),
        ] {
            if has(feature) {
                offloads = offloads.and(offload);
            }
        }
        offloads
    }

    /// What `rte_eth_dev_configure` is asked for.
    pub(super) fn to_configure(self) -> u64 {
        [
            (Self::CHECKSUMS, CHECKSUMS),
            (Self::TCP4_SEGMENTS, SEGMENTS),
            (Self::INNER_CHECKSUMS, OUTER),
            (Self::INNER_SEGMENTS, INNER_SEGMENTS),
        ]
        .into_iter()
        .filter(|(offload, _)| self.contain(*offload))
        .fold(0, |all, (_, bits)| all | bits)
    }
}

const CHECKSUMS: u64 = dpdk_sys::SHIM_TX_OFFLOAD_IPV4_CKSUM
    | dpdk_sys::SHIM_TX_OFFLOAD_UDP_CKSUM
    | dpdk_sys::SHIM_TX_OFFLOAD_TCP_CKSUM;
const SEGMENTS: u64 = dpdk_sys::SHIM_TX_OFFLOAD_TCP_TSO;
const OUTER: u64 = dpdk_sys::SHIM_TX_OFFLOAD_OUTER_IPV4_CKSUM;
const INNER_SEGMENTS: u64 = dpdk_sys::SHIM_TX_OFFLOAD_VXLAN_TNL_TSO;

/// What [`Mbuf::unfinished`] looks at.
const TO_DO: u64 = dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_MASK | dpdk_sys::SHIM_MBUF_RX_LRO;
/// What [`Work`] is told by.
const WORK: u64 = CHECKSUMS_LEFT
    | dpdk_sys::SHIM_MBUF_TX_IPV4
    | dpdk_sys::SHIM_MBUF_TX_IPV6
    | dpdk_sys::SHIM_MBUF_TX_IP_CKSUM
    | dpdk_sys::SHIM_MBUF_TX_TCP_SEG
    | dpdk_sys::SHIM_MBUF_TX_OUTER_IPV4
    | dpdk_sys::SHIM_MBUF_TX_OUTER_IP_CKSUM
    | dpdk_sys::SHIM_MBUF_TX_TUNNEL_VXLAN;
const CHECKSUMS_LEFT: u64 = dpdk_sys::SHIM_MBUF_TX_TCP_CKSUM | dpdk_sys::SHIM_MBUF_TX_UDP_CKSUM;

/// What a frame's sender left to its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Payload bytes of the segments that it is to be cut into; `None`: only the checksum is missing.
    pub segments: Option<NonZeroU16>,
}

/// What a device is told of a frame that it is to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Bytes from the frame's beginning to its IP header; in a tunnel, from the outer UDP header on.
    pub before_ip: usize,
    /// Bytes of the IP header.
    pub ip: usize,
    /// Bytes of the TCP or UDP header.
    pub transport: usize,
    /// IPv6, else IPv4.
    pub over_ipv6: bool,
    /// TCP, else UDP.
    pub is_tcp: bool,
    /// Payload bytes of each segment.
    pub segments: Option<NonZeroU16>,
    /// Of a frame in VXLAN over IPv4: bytes of the outer Ethernet and IP headers.
    pub outer: Option<(usize, usize)>,
}

impl Work {
    /// Flags and lengths, as an mbuf has them.
    fn words(&self) -> (u64, u64) {
        let mut flags = match self.over_ipv6 {
            true => dpdk_sys::SHIM_MBUF_TX_IPV6,
            false => dpdk_sys::SHIM_MBUF_TX_IPV4,
        };
        flags |= match self.is_tcp {
            true => dpdk_sys::SHIM_MBUF_TX_TCP_CKSUM,
            false => dpdk_sys::SHIM_MBUF_TX_UDP_CKSUM,
        };
        let mut lengths = self.before_ip as u64
            | (self.ip as u64) << dpdk_sys::SHIM_MBUF_L3_LEN_OFS
            | (self.transport as u64) << dpdk_sys::SHIM_MBUF_L4_LEN_OFS;
        if let Some(size) = self.segments {
            flags |= dpdk_sys::SHIM_MBUF_TX_TCP_SEG;
            if !self.over_ipv6 {
                flags |= dpdk_sys::SHIM_MBUF_TX_IP_CKSUM;
            }
            lengths |= u64::from(size.get()) << dpdk_sys::SHIM_MBUF_TSO_SEGSZ_OFS;
        }
        if let Some((ethernet, ip)) = self.outer {
            flags |= dpdk_sys::SHIM_MBUF_TX_TUNNEL_VXLAN
                | dpdk_sys::SHIM_MBUF_TX_OUTER_IPV4
                | dpdk_sys::SHIM_MBUF_TX_OUTER_IP_CKSUM;
            lengths |= (ethernet as u64) << dpdk_sys::SHIM_MBUF_OUTER_L2_LEN_OFS
                | (ip as u64) << dpdk_sys::SHIM_MBUF_OUTER_L3_LEN_OFS;
        }
        (flags, lengths)
    }
}

impl Mbuf {
    /// Whether the sender may have left work to its device: one bit says so, or that the device found a checksum wrong.
    #[inline(always)]
    pub fn may_be_unfinished(&self) -> bool {
        self.header().ol_flags & dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_BAD != 0
    }

    /// What the sender left to its device.
    pub fn unfinished(&self) -> Option<Unfinished> {
        let header = self.header();
        let checksum = header.ol_flags & dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_MASK;
        if checksum != dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_NONE {
            return None;
        }
        let size = (header.tx_offload >> dpdk_sys::SHIM_MBUF_TSO_SEGSZ_OFS) as u16;
        let is_long = header.ol_flags & dpdk_sys::SHIM_MBUF_RX_LRO != 0;
        Some(Unfinished { segments: NonZeroU16::new(size).filter(|_| is_long) })
    }

    /// Notes that all is done that its sender left to a device, and what was [left](Mbuf::leave) to one.
    pub fn note_finished(&mut self) {
        let header = self.header_mut();
        header.ol_flags &= !(TO_DO | WORK);
        header.tx_offload = 0;
    }

    /// Whether something was [left](Mbuf::leave) to the device that it will be sent by.
    pub fn has_work_left(&self) -> bool {
        self.header().ol_flags & (CHECKSUMS_LEFT | dpdk_sys::SHIM_MBUF_TX_TCP_SEG) != 0
    }

    /// Leaves work to the device that it will be sent by, whose port says that it does such work. Outer and
    /// pseudo-headers are prepared as drivers expect them.
    pub fn leave(&mut self, work: &Work) {
        self.leave_prepared(work);
        let (flags, _) = work.words();
        self.header_mut().ol_flags |= flags;
        // SAFETY: it reads and writes headers within the first segment, by the lengths above and the packet's own.
        unsafe { dpdk_sys::shim_net_intel_cksum_prepare(self.as_raw()) };
    }

    /// The same for headers that are as the device wants them, an IPv4 header with its checksum.
    pub fn leave_prepared(&mut self, work: &Work) {
        let (flags, lengths) = work.words();
        let header = self.header_mut();
        header.ol_flags |= flags & !dpdk_sys::SHIM_MBUF_TX_IP_CKSUM;
        header.tx_offload = lengths;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_take_checksums_before_anything_else() {
        let bit = |feature: u32| 1u64 << feature;
        let csum = bit(dpdk_sys::VIRTIO_NET_F_GUEST_CSUM);
        let tso4 = bit(dpdk_sys::VIRTIO_NET_F_GUEST_TSO4);
        let tso6 = bit(dpdk_sys::VIRTIO_NET_F_GUEST_TSO6);
        assert_eq!(Offloads::of_guest(0), Offloads::NONE);
        assert_eq!(Offloads::of_guest(tso4 | tso6), Offloads::NONE);
        assert_eq!(Offloads::of_guest(csum), Offloads::CHECKSUMS);
        let both = Offloads::of_guest(csum | tso6);
        assert_eq!(both, Offloads::CHECKSUMS.and(Offloads::TCP6_SEGMENTS));
        assert!(Offloads::of_guest(csum | tso4).contain(Offloads::TCP4_SEGMENTS));
    }

    #[test]
    fn devices_are_asked_for_what_they_say_they_do() {
        let of = |offloads: u64, chain: u16| {
            let mut info = dpdk_sys::rte_eth_dev_info {
                tx_offload_capa: offloads | dpdk_sys::SHIM_TX_OFFLOAD_MULTI_SEGS,
                ..Default::default()
            };
            info.tx_desc_lim.nb_seg_max = chain;
            Offloads::of_device(&info)
        };
        assert_eq!(of(SEGMENTS | OUTER | INNER_SEGMENTS, 255), Offloads::NONE);
        assert_eq!(of(CHECKSUMS | SEGMENTS, 8), Offloads::CHECKSUMS, "chains are too short");
        let all = CHECKSUMS | SEGMENTS | OUTER | INNER_SEGMENTS;
        let offloads = of(all, 255);
        assert!(offloads.contain(Offloads::INNER_SEGMENTS.and(Offloads::TCP6_SEGMENTS)));
        assert_eq!(offloads.to_configure(), all);
        assert_eq!(of(CHECKSUMS | OUTER, 255).to_configure(), CHECKSUMS | OUTER);
        assert_eq!(Offloads::NONE.to_configure(), 0);
    }

    #[test]
    fn a_device_is_told_where_the_headers_are() {
        let work = Work {
            before_ip: 30,
            ip: 20,
            transport: 32,
            over_ipv6: false,
            is_tcp: true,
            segments: NonZeroU16::new(1398),
            outer: Some((14, 20)),
        };
        // Lengths of 7, 9, 8, 16, 9 and 7 bits.
        let lengths = 30 | 20 << 7 | 32 << 16 | 1398 << 24 | 20 << 40 | 14 << 49;
        assert_eq!(work.words().1, lengths);
        let flags = dpdk_sys::SHIM_MBUF_TX_TUNNEL_VXLAN
            | dpdk_sys::SHIM_MBUF_TX_OUTER_IPV4
            | dpdk_sys::SHIM_MBUF_TX_OUTER_IP_CKSUM
            | dpdk_sys::SHIM_MBUF_TX_IPV4
            | dpdk_sys::SHIM_MBUF_TX_IP_CKSUM
            | dpdk_sys::SHIM_MBUF_TX_TCP_CKSUM
            | dpdk_sys::SHIM_MBUF_TX_TCP_SEG;
        assert_eq!(work.words().0, flags);
        let work = Work {
            over_ipv6: true,
            is_tcp: false,
            transport: 8,
            segments: None,
            outer: None,
            ..work
        };
        let flags = dpdk_sys::SHIM_MBUF_TX_IPV6 | dpdk_sys::SHIM_MBUF_TX_UDP_CKSUM;
        assert_eq!(work.words(), (flags, 30 | 20 << 7 | 8 << 16));
    }
}
