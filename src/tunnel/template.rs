//! The outer header of a tunnel, built once by the control core and patched per packet.

use std::net::IpAddr;

use super::{Encap, OuterHeader, Sequence, SummedBy, Variable};
use crate::wire::checksum::{self, Sum};
use crate::wire::{gre, ipv4};

/// Bytes of Ethernet, IPv4, UDP and VXLAN headers.
pub const TEMPLATE_LENGTH: usize = 14 + 20 + 8 + 8;
/// Bytes of Ethernet, IPv4 and GRE headers, with a key.
pub const GRE_TEMPLATE_LENGTH: usize = 14 + 20 + 8;

/// Offsets into the outer frame.
mod at {
    pub const TRAFFIC_CLASS: usize = 14 + 1;
    pub const IP_LENGTH: usize = 14 + 2;
    pub const IP_CHECKSUM: usize = 14 + 10;
    pub const UDP_SOURCE: usize = 34;
    pub const UDP_LENGTH: usize = 34 + 4;
    pub const UDP_CHECKSUM: usize = 34 + 6;
    pub const VNI: usize = 42 + 4;
    pub const GRE: usize = 34;
    pub const KEY: usize = 34 + 4;
}

/// What a template is of: the headers over IPv4 that are short, and nearly all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// VXLAN without a UDP checksum.
    Vxlan,
    /// VXLAN whose UDP checksum the device completes.
    SummedVxlan,
    /// NVGRE with a flow ID.
    Nvgre,
    /// NVGRE whose flow ID is 0.
    FlowlessNvgre,
    /// GRE with a key and nothing else.
    Gre,
}

impl Form {
    fn of(outer: &OuterHeader) -> Option<Self> {
        match outer.encap {
            Encap::Vxlan { group_policy: true, .. } => None,
            Encap::Vxlan { .. } => match outer.summed_by()? {
                SummedBy::Nobody => Some(Self::Vxlan),
                SummedBy::Device => Some(Self::SummedVxlan),
                SummedBy::Worker => None,
            },
            Encap::Nvgre { flow_id: true } => Some(Self::Nvgre),
            Encap::Nvgre { flow_id: false } => Some(Self::FlowlessNvgre),
            Encap::Gre { key: true, checksum: false, sequence: Sequence::Off } => Some(Self::Gre),
            Encap::Gre { .. } => None,
        }
    }
}

/// A header over IPv4 with everything in it that does not change from packet to packet.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Template {
    /// Where packets have their length, it has the bits of the traffic class that they copy.
    bytes: [u8; TEMPLATE_LENGTH],
    /// One's-complement sum of the IPv4 header with length and checksum zero.
    ip_sum: u16,
}

impl Template {
    /// No header at all.
    pub const VACANT: Self = Self { bytes: [0; TEMPLATE_LENGTH], ip_sum: 0 };

    /// Builds the header: don't fragment (RFC 7348 section 4.3) and hence no identification
    /// (RFC 6864 section 4.1), of VXLAN the I flag set and all reserved bits zero. `None` for all that has no [`Form`], which
    /// [`super::AnyTemplate`] builds.
    pub fn new(outer: &OuterHeader) -> Option<(Self, Form)> {
        let (IpAddr::V4(source), IpAddr::V4(destination), None) =
            (outer.source, outer.destination, outer.id)
        else {
            return None;
        };
        let form = Form::of(outer).filter(|_| outer.marking.is_plain())?;
        let mut bytes = [0; TEMPLATE_LENGTH];
        bytes[0..6].copy_from_slice(&outer.next_hop_mac);
        bytes[6..12].copy_from_slice(&outer.source_mac);
        bytes[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
        bytes[14] = 0x45;
        bytes[at::TRAFFIC_CLASS] = outer.marking.traffic_class();
        bytes[20] = 0x40;
        bytes[22] = outer.marking.fixed_ttl();
        bytes[23] = outer.encap.protocol();
        bytes[26..30].copy_from_slice(&source.octets());
        bytes[30..34].copy_from_slice(&destination.octets());
        match outer.encap {
            Encap::Vxlan { udp_port, .. } => {
                bytes[36..38].copy_from_slice(&udp_port.to_be_bytes());
                bytes[42] = 0x08;
            }
            Encap::Nvgre { .. } | Encap::Gre { .. } => {
                put(&mut bytes, at::GRE, gre::KEY);
                put(&mut bytes, at::GRE + 2, gre::ETHERNET);
            }
        }
        if form == Form::SummedVxlan {
            // Of the pseudo-header, as far as it is known.
            let sum = Sum::of(&bytes[26..34]) + u16::from(ipv4::UDP);
            put(&mut bytes, at::UDP_CHECKSUM, sum.fold());
        }
        let ip_sum = checksum::sum(&bytes[14..34]);
        bytes[at::IP_LENGTH] = outer.marking.copied();
        Some((Self { bytes, ip_sum }, form))
    }

    /// Writes the VXLAN header of one packet. Where the device computes the UDP checksum,
    /// [`Template::finish_pseudo_header`] is left to do.
    #[inline(always)]
    pub fn write(&self, to: &mut [u8; TEMPLATE_LENGTH], packet: Variable) {
        *to = self.bytes;
        self.finish_ip(to, packet, 36);
        put(to, at::UDP_SOURCE, packet.entropy_port);
        put(to, at::UDP_LENGTH, packet.inner + 16);
        to[at::VNI..at::VNI + 4].copy_from_slice(&(packet.id << 8).to_be_bytes());
    }

    /// The same for [`Form::Nvgre`], [`Form::FlowlessNvgre`] and [`Form::Gre`], which each make another key of both.
    #[inline(always)]
    pub fn write_gre(&self, form: Form, to: &mut [u8; GRE_TEMPLATE_LENGTH], packet: Variable) {
        let Variable { id, entropy_port, .. } = packet;
        let key = match form {
            Form::Nvgre => id << 8 | u32::from(entropy_port & 0xff),
            Form::FlowlessNvgre => id << 8,
            _ => id,
        };
        if let Some(bytes) = self.bytes.first_chunk() {
            *to = *bytes;
        }
        self.finish_ip(to, packet, 28);
        to[at::KEY..at::KEY + 4].copy_from_slice(&key.to_be_bytes());
    }

    /// `headers` is the length of the IP header and what is between it and the inner frame.
    #[inline(always)]
    fn finish_ip<const N: usize>(&self, to: &mut [u8; N], packet: Variable, headers: u16) {
        let length = packet.inner + headers;
        let sum = u32::from(self.ip_sum) + u32::from(length);
        put(to, at::IP_LENGTH, length);
        // Of two terms the sum is right after one carry.
        put(to, at::IP_CHECKSUM, !(sum + (sum >> 16)) as u16);
        let copied = packet.traffic_class & self.bytes[at::IP_LENGTH];
        if copied != 0 {
            copy_traffic_class(to, copied);
        }
    }

    /// Adds the length to the pseudo-header's sum in a header whose UDP checksum the device completes.
    #[inline]
    pub fn finish_pseudo_header(header: &mut [u8; TEMPLATE_LENGTH]) {
        let number = |at: usize| u32::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let sum = number(at::UDP_CHECKSUM) + number(at::UDP_LENGTH);
        put(header, at::UDP_CHECKSUM, (sum + (sum >> 16)) as u16);
    }
}

/// Most packets have neither ECN nor, where that is copied, a DSCP.
#[cold]
#[inline(never)]
fn copy_traffic_class(to: &mut [u8], copied: u8) {
    let Some(header) = to.first_chunk_mut::<GRE_TEMPLATE_LENGTH>() else { return };
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (sum, old) = (number(at::IP_CHECKSUM), number(at::TRAFFIC_CLASS - 1));
    put(header, at::IP_CHECKSUM, checksum::update(sum, old, old | u16::from(copied)));
    header[at::TRAFFIC_CLASS] |= copied;
}

#[inline(always)]
fn put<const N: usize>(to: &mut [u8; N], offset: usize, value: u16) {
    to[offset..offset + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{Dscp, Marking, Ttl};
    use crate::wire::{ethernet, udp, vxlan};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_packets_header_is_right(
            inner in 14..1500u16,
            vni in 1..1u32 << 24,
            entropy in 49152..=65535u16,
            addresses: (u32, u32),
            ttl: u8,
            dscp in prop::option::of(0..64u8),
            traffic_class: u8,
            offloads: bool,
        ) {
            let outer = OuterHeader {
                source_mac: [2, 0, 0, 0, 0, 1],
                next_hop_mac: [2, 0, 0, 0, 0, 2],
                source: std::net::Ipv4Addr::from(addresses.0).into(),
                destination: std::net::Ipv4Addr::from(addresses.1).into(),
                marking: Marking {
                    dscp: dscp.map_or(Dscp::Copy, Dscp::Fixed),
                    ttl: Ttl::Fixed(ttl),
                },
                encap: Encap::vxlan(4789),
                id: None,
                offloads,
            };
            let mut bytes = [0xff; TEMPLATE_LENGTH];
            let (template, form) = Template::new(&outer).unwrap();
            prop_assert_eq!(form == Form::SummedVxlan, offloads);
            let packet = Variable { inner, id: vni, entropy_port: entropy, traffic_class, hop_limit: 9 };
            template.write(&mut bytes, packet);
            if offloads {
                Template::finish_pseudo_header(&mut bytes);
            }
            let (ethernet, packet) = ethernet::Header::parse(&bytes).unwrap();
            prop_assert_eq!(ethernet.destination.0, outer.next_hop_mac);
            prop_assert_eq!(ethernet.source.0, outer.source_mac);
            prop_assert_eq!(ethernet.ethertype.get(), ethernet::ethertype::IPV4);
            prop_assert!(checksum::verify(&packet[..20]));
            let (ip, segment) = ipv4::Header::parse(packet).unwrap();
            prop_assert_eq!((u32::from(ip.source()), u32::from(ip.destination())), addresses);
            prop_assert_eq!(ip.total_length(), usize::from(inner) + 36);
            prop_assert!(ip.dont_fragment() && !ip.is_fragment());
            let class = dscp.map_or(traffic_class, |dscp| dscp << 2 | traffic_class & 3);
            prop_assert_eq!((ip.ttl, ip.protocol, ip.traffic_class), (ttl, ipv4::UDP, class));
            prop_assert_eq!(ip.identification.get(), 0);
            let (udp, payload) = udp::Header::parse(segment).unwrap();
            prop_assert_eq!((udp.source_port.get(), udp.destination_port.get()), (entropy, 4789));
            prop_assert_eq!(udp.length(), usize::from(inner) + 16);
            let mut pseudo = packet[12..20].to_vec();
            pseudo.extend([0, ipv4::UDP]);
            pseudo.extend(&segment[4..6]);
            let pseudo = if offloads { checksum::sum(&pseudo) } else { 0 };
            prop_assert_eq!(udp.checksum.get(), pseudo);
            let header = vxlan::Header::new(vni);
            prop_assert_eq!(payload, zerocopy::IntoBytes::as_bytes(&header));
        }
    }
}
