//! The outer header of every tunnel but those that [`super::Template`] has a [`super::Form`] for.

mod plain_ipv6;

use std::net::IpAddr;

pub use self::plain_ipv6::PlainIpv6Template;
use super::{Dscp, Encap, OuterHeader, SequenceNumbers, SummedBy, Ttl};
use crate::wire::checksum::Sum;
use crate::wire::{ethernet, gre, ipv4, ipv6, udp, vxlan};

/// An outer header over IPv4 or IPv6 with everything in it that does not change from packet to packet.
#[derive(Clone, Debug)]
pub struct AnyTemplate {
    /// Its first bytes.
    front: [u8; FRONT],
    /// Its last bytes: two copies of fixed lengths, which may overlap, are faster than one of any length.
    back: [u8; BACK],
    /// Bytes of the header.
    length: u8,
    /// Bytes between IP header and inner frame.
    encap_length: u8,
    over_ipv6: bool,
    encap: Encap,
    /// Of the UDP checksum.
    summed_by: SummedBy,
    /// The network's ID at this peer, where it is another than ours; else zero.
    id: u32,
    /// The bits of our own ID that count: none where there is another, else all. An option's reading went by memory.
    own_id: u32,
    /// The bits of the traffic class that are the inner packet's.
    copied: u8,
    inherits_ttl: bool,
    maps_priority: bool,
    is_plain: bool,
    /// VXLAN over IPv6 that is plain.
    is_plain_ipv6: bool,
    /// One's-complement sum of the IPv4 header with length and checksum zero.
    ip_sum: Sum,
    /// One's-complement sum of what does not change of that which a UDP or GRE checksum covers; where a device computes it,
    /// of the pseudo-header only.
    encap_sum: Sum,
    /// Of GRE with [`Encap::Gre::sequence`].
    numbers: Option<SequenceNumbers>,
}

const FRONT: usize = 32;
/// The shortest header is as long: Ethernet, IPv4 and GRE.
const BACK: usize = AnyTemplate::LONGEST - FRONT;
const _: () = assert!(BACK == ethernet::LENGTH + ipv4::LENGTH + gre::LENGTH);

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variable {
    /// Bytes of the inner frame.
    pub inner: u16,
    /// The network's ID.
    pub id: u32,
    /// The flow's hash as a port of the dynamic range: UDP source port, NVGRE flow ID, IPv6 flow label.
    pub entropy_port: u16,
    /// The inner packet's DSCP and ECN; zero where it is not IP.
    pub traffic_class: u8,
    /// Its time to live; of no interest but where [`AnyTemplate::inherits_ttl`].
    pub hop_limit: u8,
}

impl AnyTemplate {
    /// The same with numbers of its own.
    pub fn detached(&self) -> Self {
        Self { numbers: self.numbers.as_ref().map(SequenceNumbers::detached), ..self.clone() }
    }

    /// Bytes of the longest header: Ethernet, IPv6, UDP and VXLAN, or as long, GRE with all options.
    pub const LONGEST: usize = ethernet::LENGTH + ipv6::LENGTH + udp::LENGTH + vxlan::LENGTH;

    /// Builds the header: over IPv4 don't fragment and no identification.
    /// `numbers` is what the peer's packets are numbered from, if they are.
    pub fn new(outer: &OuterHeader, numbers: Option<&SequenceNumbers>) -> Self {
        let mut bytes = [0; Self::LONGEST];
        bytes[0..6].copy_from_slice(&outer.next_hop_mac);
        bytes[6..12].copy_from_slice(&outer.source_mac);
        let protocol = outer.encap.protocol();
        let mut ip_sum = Sum::default();
        let summed_by = outer.summed_by().unwrap_or(SummedBy::Nobody);
        let mut encap_sum = Sum::default();
        let class = outer.marking.traffic_class();
        let length = outer.length();
        let payload_at = length - outer.encap.length();
        match (outer.source, outer.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                put(&mut bytes, 12, ethernet::ethertype::IPV4);
                bytes[14] = 0x45;
                bytes[15] = class;
                bytes[20] = 0x40;
                bytes[22] = outer.marking.fixed_ttl();
                bytes[23] = protocol;
                bytes[26..30].copy_from_slice(&source.octets());
                bytes[30..34].copy_from_slice(&destination.octets());
                ip_sum = Sum::of(&bytes[14..34]);
            }
            (source, destination) => {
                put(&mut bytes, 12, ethernet::ethertype::IPV6);
                bytes[14] = 0x60 | class >> 4;
                bytes[15] = class << 4;
                bytes[20] = protocol;
                bytes[21] = outer.marking.fixed_ttl();
                bytes[22..38].copy_from_slice(&octets(source));
                bytes[38..54].copy_from_slice(&octets(destination));
            }
        }
        match outer.encap {
            Encap::Vxlan { udp_port, .. } => {
                put(&mut bytes, payload_at + 2, udp_port);
                bytes[payload_at + udp::LENGTH] = 0x08;
                // The pseudo-header: both addresses, which end the IP header, and the protocol.
                let addresses = if outer.destination.is_ipv4() { 8 } else { 32 };
                encap_sum =
                    Sum::of(&bytes[payload_at - addresses..payload_at]) + u16::from(protocol);
            }
            Encap::Nvgre { .. } => {
                put(&mut bytes, payload_at, gre::KEY);
                put(&mut bytes, payload_at + 2, gre::ETHERNET);
            }
            Encap::Gre { key, checksum, sequence } => {
                let flag = |set, flag| if set { flag } else { 0 };
                let flags = flag(key, gre::KEY)
                    | flag(checksum, gre::CHECKSUM)
                    | flag(sequence.is_sent(), gre::SEQUENCE);
                put(&mut bytes, payload_at, flags);
                put(&mut bytes, payload_at + 2, gre::ETHERNET);
            }
        }
        if summed_by != SummedBy::Device {
            encap_sum = encap_sum + Sum::of(&bytes[payload_at..length]);
        }
        let (mut front, mut back) = ([0; FRONT], [0; BACK]);
        front.copy_from_slice(&bytes[..FRONT]);
        back.copy_from_slice(&bytes[length - BACK..length]);
        Self {
            front,
            back,
            length: length as u8,
            encap_length: outer.encap.length() as u8,
            over_ipv6: outer.destination.is_ipv6(),
            encap: outer.encap,
            summed_by,
            id: outer.id.unwrap_or(0),
            own_id: if outer.id.is_some() { 0 } else { u32::MAX },
            copied: outer.marking.copied(),
            inherits_ttl: outer.marking.ttl == Ttl::Inherit,
            maps_priority: outer.marking.dscp == Dscp::Priority,
            is_plain: outer.marking.is_plain(),
            is_plain_ipv6: outer.marking.is_plain()
                && outer.destination.is_ipv6()
                && matches!(outer.encap, Encap::Vxlan { .. }),
            ip_sum,
            encap_sum,
            numbers: numbers.cloned(),
        }
    }

    /// Bytes of the header.
    #[inline(always)]
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether [`AnyTemplate::write`] needs the inner frame's sum.
    #[inline(always)]
    pub fn sums(&self) -> bool {
        self.summed_by == SummedBy::Worker
            || matches!(self.encap, Encap::Gre { checksum: true, .. })
    }

    /// Whether neither the time to live nor the DSCP is to be looked for: neither [`AnyTemplate::inherits_ttl`] nor
    /// [`AnyTemplate::maps_priority`].
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether the outer time to live is the inner packet's.
    #[inline(always)]
    pub fn inherits_ttl(&self) -> bool {
        self.inherits_ttl
    }

    /// Whether the DSCP is to be the priority of the VLAN tag that the frame came with.
    #[inline(always)]
    pub fn maps_priority(&self) -> bool {
        self.maps_priority
    }

    /// Whether the device must complete the UDP checksum, and of a packet over IPv6.
    #[inline(always)]
    pub fn leaves_checksum(&self) -> Option<bool> {
        (self.summed_by == SummedBy::Device).then_some(self.over_ipv6)
    }

    /// This template as one whose fields have known places, where it is of VXLAN over IPv6 and [plain](AnyTemplate::is_plain).
    #[inline(always)]
    pub fn plain_ipv6(&self) -> Option<PlainIpv6Template<'_>> {
        self.is_plain_ipv6.then_some(PlainIpv6Template::new(self))
    }

    /// Writes the header of one packet into [`AnyTemplate::length`] bytes. `inner_sum` is the one's-complement sum of
    /// the inner frame, where [`AnyTemplate::sums`] asks for it. `false` into other lengths.
    #[inline(always)]
    pub fn write(&self, to: &mut [u8], packet: Variable, inner_sum: Sum) -> bool {
        if let (Some(plain), Ok(to)) = (self.plain_ipv6(), to.try_into()) {
            plain.write(to, packet, inner_sum);
            return true;
        }
        if to.len() != self.length() {
            return false;
        }
        let Some(front) = to.first_chunk_mut::<FRONT>() else { return false };
        *front = self.front;
        let Some(back) = to.last_chunk_mut::<BACK>() else { return false };
        *back = self.back;
        let segment = packet.inner + u16::from(self.encap_length);
        let id = self.id_of(packet);
        // From the header's end, so that each field has one place.
        match self.encap {
            Encap::Vxlan { .. } => {
                put(back, BACK - 16, packet.entropy_port);
                put(back, BACK - 12, segment);
                put_word(back, BACK - 4, id << 8);
                match self.summed_by {
                    SummedBy::Nobody => {}
                    SummedBy::Worker => {
                        let port = packet.entropy_port;
                        put(back, BACK - 10, self.udp_checksum(port, segment, id << 8, inner_sum));
                    }
                    SummedBy::Device => put(back, BACK - 10, self.pseudo_header_sum(segment)),
                }
            }
            Encap::Nvgre { flow_id } => {
                let flow = if flow_id { u32::from(packet.entropy_port & 0xff) } else { 0 };
                put_word(back, BACK - 4, id << 8 | flow);
            }
            Encap::Gre { key, checksum, sequence } => {
                let mut sum = self.encap_sum + inner_sum;
                let mut option = BACK;
                if let Some(numbers) = self.numbers.as_ref().filter(|_| sequence.is_sent()) {
                    let number = numbers.take();
                    option -= gre::OPTION;
                    put_word(back, option, number);
                    sum = sum + number;
                }
                if key {
                    option -= gre::OPTION;
                    put_word(back, option, id);
                    sum = sum + id;
                }
                if checksum {
                    put(back, option - gre::OPTION, !sum.fold());
                }
            }
        }
        let Some(front) = to.first_chunk_mut::<FRONT>() else { return false };
        let copied = packet.traffic_class & self.copied;
        let ttl = if self.inherits_ttl { packet.hop_limit } else { 0 };
        if self.over_ipv6 {
            front[14] |= copied >> 4;
            front[15] |= copied << 4;
            front[21] |= ttl;
            // The flow label spreads flows in underlays that look no further (RFC 6438).
            put(front, 16, packet.entropy_port);
            put(front, 18, segment);
        } else {
            let total = segment + ipv4::LENGTH as u16;
            put(front, 16, total);
            front[15] |= copied;
            front[22] |= ttl;
            let changed = u32::from(total) + u32::from(copied) + (u32::from(ttl) << 8);
            put(front, 24, !(self.ip_sum + changed).fold());
        }
        true
    }

    /// The network's ID at this peer.
    #[inline(always)]
    fn id_of(&self, packet: Variable) -> u32 {
        packet.id & self.own_id | self.id
    }

    /// The UDP checksum; never zero, which would mean 'none' (RFC 768). `id` is as it stands in the header.
    #[inline(always)]
    fn udp_checksum(&self, port: u16, datagram: u16, id: u32, inner_sum: Sum) -> u16 {
        // The length is in the pseudo-header too.
        let header = Sum::from(port) + datagram + datagram + id;
        match !(header + self.encap_sum + inner_sum).fold() {
            0 => 0xffff,
            sum => sum,
        }
    }

    /// What a device completes.
    #[inline(always)]
    fn pseudo_header_sum(&self, datagram: u16) -> u16 {
        (self.encap_sum + datagram).fold()
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[inline(always)]
fn put(to: &mut [u8], offset: usize, value: u16) {
    to[offset..offset + 2].copy_from_slice(&value.to_be_bytes());
}

#[inline(always)]
fn put_word(to: &mut [u8], offset: usize, value: u32) {
    to[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tunnel::{
        Form, GRE_TEMPLATE_LENGTH, Marking, Sequence, TEMPLATE_LENGTH, Template, UdpChecksum,
    };
    use crate::wire::checksum;
    use proptest::prelude::*;

    pub fn outer(v6: bool, encap: Encap, id: Option<u32>) -> OuterHeader {
        let (source, destination) = match v6 {
            false => ("192.0.2.2", "192.0.2.1"),
            true => ("2001:db8::2", "2001:db8::1"),
        };
        OuterHeader {
            source_mac: [2, 0, 0, 0, 0, 2],
            next_hop_mac: [2, 0, 0, 0, 0, 1],
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            marking: Marking::default(),
            encap,
            id,
            offloads: false,
        }
    }

    /// Of a packet that says nothing of how it should be carried.
    pub fn variable(inner: u16, id: u32) -> Variable {
        Variable { inner, id, entropy_port: 50_000, ..Variable::default() }
    }

    /// A whole packet around an inner frame.
    pub fn packet(outer: &OuterHeader, id: u32, inner: &[u8]) -> Vec<u8> {
        packet_of_class(outer, id, inner, 0)
    }

    /// The same with DSCP and ECN of the inner packet.
    pub fn packet_of_class(outer: &OuterHeader, id: u32, inner: &[u8], class: u8) -> Vec<u8> {
        let template = AnyTemplate::new(outer, Some(&SequenceNumbers::default()));
        let mut packet = vec![0xff; template.length()];
        let variable = Variable { traffic_class: class, ..variable(inner.len() as u16, id) };
        assert!(template.write(&mut packet, variable, Sum::of(inner)));
        packet.extend(inner);
        packet
    }

    pub fn encaps() -> Vec<Encap> {
        let mut all = vec![];
        for flag in [false, true] {
            let checksum = if flag { UdpChecksum::On } else { UdpChecksum::Off };
            for group_policy in [false, true] {
                all.push(Encap::Vxlan { udp_port: 4789, checksum, group_policy });
            }
            all.push(Encap::Nvgre { flow_id: flag });
            for key in [false, true] {
                all.push(Encap::Gre { key, checksum: flag, sequence: Sequence::Off });
                all.push(Encap::Gre { key, checksum: flag, sequence: Sequence::Sent });
            }
        }
        all
    }

    #[test]
    fn what_has_a_short_template_is_the_same_by_that() {
        let mut forms = Vec::new();
        for encap in encaps() {
            let outer = outer(false, encap, None);
            let Some((template, form)) = Template::new(&outer) else { continue };
            forms.push(form);
            let packet = packet(&outer, 0x01_0203, &[7; 60]);
            if matches!(encap, Encap::Vxlan { .. }) {
                let mut short = [0; TEMPLATE_LENGTH];
                template.write(&mut short, variable(60, 0x01_0203));
                assert_eq!(packet[..TEMPLATE_LENGTH], short);
            } else {
                let mut short = [0; GRE_TEMPLATE_LENGTH];
                template.write_gre(form, &mut short, variable(60, 0x01_0203));
                assert_eq!(packet[..GRE_TEMPLATE_LENGTH], short);
            }
        }
        assert_eq!(forms, [Form::Vxlan, Form::FlowlessNvgre, Form::Gre, Form::Nvgre]);
    }

    #[test]
    fn traffic_class_and_ttl_are_the_inner_packets_as_far_as_they_should() {
        let fixed = Marking::default();
        let expedited = Marking { dscp: Dscp::Fixed(46), ttl: Ttl::Fixed(255) };
        let inherited = Marking { dscp: Dscp::Copy, ttl: Ttl::Inherit };
        for (marking, class, ttl) in
            [(fixed, 0x03, 64), (expedited, 0xbb, 255), (inherited, 0xaf, 7)]
        {
            for v6 in [false, true] {
                let outer = OuterHeader { marking, ..outer(v6, Encap::vxlan(4789), None) };
                let mut packet = vec![0xff; outer.length()];
                let variable = Variable { traffic_class: 0xaf, hop_limit: 7, ..variable(60, 5) };
                assert!(AnyTemplate::new(&outer, None).write(
                    &mut packet,
                    variable,
                    Sum::default()
                ));
                let found = match v6 {
                    false => (packet[14], packet[15], packet[22]),
                    true => (packet[14] & 0xf0, packet[14] << 4 | packet[15] >> 4, packet[21]),
                };
                assert_eq!(found, (if v6 { 0x60 } else { 0x45 }, class, ttl), "{marking:?}");
                if !v6 {
                    assert!(checksum::verify(&packet[14..34]));
                    let short = Template::new(&outer).map(|(template, _)| {
                        let mut short = [0; TEMPLATE_LENGTH];
                        template.write(&mut short, variable);
                        short.to_vec()
                    });
                    let expected = (marking.ttl != Ttl::Inherit).then_some(packet);
                    assert_eq!(short, expected, "{marking:?}");
                }
            }
        }
    }

    #[test]
    fn nvgre_has_a_key_and_nothing_else() {
        let flow = outer(false, Encap::Nvgre { flow_id: true }, None);
        let found = packet(&flow, 0x01_0203, &[7; 60]);
        assert_eq!(found[34..42], [0x20, 0, 0x65, 0x58, 1, 2, 3, 0x50]);
        let none = outer(false, Encap::Nvgre { flow_id: false }, Some(0x00_1234));
        let found = packet(&none, 0x01_0203, &[7; 60]);
        assert_eq!(found[34..42], [0x20, 0, 0x65, 0x58, 0, 0x12, 0x34, 0]);
    }

    #[test]
    fn gre_packets_are_numbered_over_all_headers_of_a_peer() {
        let encap = Encap::Gre { key: true, checksum: true, sequence: Sequence::Sent };
        let numbers = SequenceNumbers::default();
        let templates =
            [false, true].map(|v6| AnyTemplate::new(&outer(v6, encap, None), Some(&numbers)));
        let send = |which: usize| {
            let template: &AnyTemplate = &templates[which];
            let mut packet = vec![0xff; template.length()];
            let variable = variable(0, 0x01_0203);
            assert!(template.write(&mut packet, variable, Sum::default()));
            packet.split_off(template.length() - 16)
        };
        for (number, which) in [0, 0, 1, 0].into_iter().enumerate() {
            let header = send(which);
            assert_eq!(header[..4], [0xb0, 0, 0x65, 0x58]);
            assert_eq!(header[8..], [0, 1, 2, 3, 0, 0, 0, number as u8]);
            assert!(checksum::verify(&header));
        }
        for _ in numbers.take()..u32::from(u16::MAX) {
            numbers.take();
        }
        assert_eq!(send(0)[12..], [0, 1, 0, 0]);
    }

    #[test]
    fn no_other_room_than_the_headers() {
        let template = AnyTemplate::new(&outer(true, Encap::vxlan(4789), None), None);
        let variable = variable(60, 1);
        assert!(!template.write(&mut [0; 69], variable, Sum::default()));
        assert!(!template.write(&mut [0; 71], variable, Sum::default()));
    }

    #[test]
    fn a_device_completes_the_pseudo_headers_sum() {
        for v6 in [false, true] {
            let outer = OuterHeader { offloads: true, ..outer(v6, Encap::vxlan(4789), None) };
            let mut packet = packet(&outer, 0x01_0203, &[7; 61]);
            let at = outer.length() - outer.encap.length();
            // All that a device does: to sum what is there.
            let sum = checksum::compute(&packet[at..]);
            packet[at + 6..at + 8].copy_from_slice(&sum.to_be_bytes());
            assert!(match (outer.source, outer.destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    checksum::verify_udp_v4(source, destination, &packet[at..])
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    checksum::verify_udp_v6(source, destination, &packet[at..])
                }
                _ => false,
            });
        }
    }

    proptest! {
        #[test]
        fn every_checksum_is_right(
            inner in prop::collection::vec(any::<u8>(), 14..200),
            v6: bool,
            which in 0..encaps().len(),
            id in 1..1u32 << 24,
        ) {
            let outer = outer(v6, encaps()[which], None);
            let packet = packet(&outer, id, &inner);
            let at = outer.length() - outer.encap.length();
            if !v6 {
                prop_assert!(checksum::verify(&packet[14..34]));
            }
            match (outer.encap, outer.source, outer.destination) {
                (Encap::Vxlan { checksum: UdpChecksum::Off, .. }, ..) => {
                    prop_assert_eq!(&packet[at + 6..at + 8], &[0, 0]);
                }
                (Encap::Vxlan { .. }, IpAddr::V4(source), IpAddr::V4(destination)) => {
                    prop_assert!(checksum::verify_udp_v4(source, destination, &packet[at..]));
                }
                (Encap::Vxlan { .. }, IpAddr::V6(source), IpAddr::V6(destination)) => {
                    prop_assert!(checksum::verify_udp_v6(source, destination, &packet[at..]));
                }
                (Encap::Gre { checksum: true, .. }, ..) => {
                    prop_assert!(checksum::verify(&packet[at..]));
                }
                _ => {}
            }
        }
    }
}
