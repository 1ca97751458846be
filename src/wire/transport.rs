//! TCP (RFC 9293) and UDP within a frame: what a NIC does for a host that leaves checksums and segments to it.

use std::ops::Range;

use super::checksum::{self, Pieces, Sum};
use super::ethernet::{self, ethertype, is_tag};
use super::{ipv4, ipv6};

/// Extension headers that stand before TCP and UDP and whose pseudo-header is the usual one: hop-by-hop and destination
/// options (RFC 8200 sections 4.3 and 4.6).
const OPTIONS: [u8; 2] = [0, 60];
/// Flags of the TCP header (RFC 9293 section 3.1, RFC 3168).
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Where the headers of a TCP or UDP frame lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Bytes before the IP header.
    pub ip_at: usize,
    /// Bytes before the TCP or UDP header.
    pub at: usize,
    /// Bytes before what that carries.
    pub payload_at: usize,
    /// Bytes up to the packet's end: what follows is padding of Ethernet.
    pub end: usize,
    /// IPv6, else IPv4.
    pub over_ipv6: bool,
    /// TCP, else UDP.
    pub is_tcp: bool,
}

impl Transport {
    /// Finds the headers at the beginning of a frame of `length` bytes, below up to two VLAN tags. `None` where they are
    /// cut off or contradict each other, in fragments, and in what is neither TCP nor UDP.
    pub fn find(headers: &[u8], length: usize) -> Option<Self> {
        let number = |at: usize| Some(u16::from_be_bytes(*headers.get(at..)?.first_chunk()?));
        let mut ip_at = ethernet::LENGTH;
        for _ in 0..2 {
            if is_tag(number(ip_at - 2)?) {
                ip_at += 4;
            }
        }
        let over_ipv6 = match number(ip_at - 2)? {
            ethertype::IPV4 => false,
            ethertype::IPV6 => true,
            _ => return None,
        };
        let packet = headers.get(ip_at..)?;
        let (header_length, ip_length, protocol) = match over_ipv6 {
            false => {
                let (header, _) = ipv4::Header::parse(packet).ok()?;
                if header.is_fragment() {
                    return None;
                }
                (header.header_length(), header.total_length(), header.protocol)
            }
            true => {
                let (header, rest) = ipv6::Header::parse(packet).ok()?;
                let (extensions, protocol) = skip_options(rest, header.next_header)?;
                let length = ipv6::LENGTH + header.payload_length();
                (ipv6::LENGTH + extensions, length, protocol)
            }
        };
        let (at, end) = (ip_at + header_length, ip_at + ip_length);
        let (is_tcp, own_length) = match protocol {
            ipv4::TCP => (true, usize::from(headers.get(at + 12)? >> 4) * 4),
            ipv4::UDP => (false, super::udp::LENGTH),
            _ => return None,
        };
        let payload_at = at + own_length;
        let shortest = if is_tcp { 20 } else { super::udp::LENGTH };
        let fits = payload_at <= headers.len() && payload_at <= end && end <= length;
        let found = Self { ip_at, at, payload_at, end, over_ipv6, is_tcp };
        (own_length >= shortest && fits).then_some(found)
    }

    /// Whether TCP or UDP directly follow an IP header that has nothing beside its addresses and protocol.
    pub fn is_plain(&self) -> bool {
        !self.over_ipv6 || self.at - self.ip_at == ipv6::LENGTH
    }

    /// Where the checksum lies.
    pub fn checksum_at(&self) -> Range<usize> {
        let at = self.at + if self.is_tcp { 16 } else { 6 };
        at..at + 2
    }

    /// The checksum of a frame whose checksum field has the pseudo-header's sum, as hosts leave it to a device.
    /// `chunks` are the frame's bytes.
    pub fn complete<'c>(&self, chunks: impl Iterator<Item = &'c [u8]>) -> u16 {
        let (mut pieces, mut begin) = (Pieces::default(), 0);
        for chunk in chunks {
            let within = |at: usize| at.clamp(begin, begin + chunk.len()) - begin;
            pieces.add(&chunk[within(self.at)..within(self.end)]);
            begin += chunk.len();
        }
        self.not_none(!pieces.sum().fold())
    }

    /// Makes one of a TCP packet's segments right: `segment` has the packet's headers and the payload from byte `offset`
    /// on. `number` counts the segments from 0.
    ///
    /// Like any device, it numbers IPv4 packets on, and leaves FIN and PSH to the last and CWR to the first segment
    /// (RFC 3168 section 6.1.2).
    pub fn patch_segment(&self, segment: &mut [u8], number: u16, offset: usize, is_last: bool) {
        self.set_length(segment, segment.len());
        if !self.over_ipv6 {
            let identification = get(segment, self.ip_at + 4).wrapping_add(number);
            put(segment, self.ip_at + 4, identification);
            put(segment, self.ip_at + 10, 0);
            let sum = checksum::compute(&segment[self.ip_at..self.at]);
            put(segment, self.ip_at + 10, sum);
        }
        let sequence =
            u32::from(get(segment, self.at + 4)) << 16 | u32::from(get(segment, self.at + 6));
        let sequence = sequence.wrapping_add(offset as u32).to_be_bytes();
        segment[self.at + 4..self.at + 8].copy_from_slice(&sequence);
        let flags = &mut segment[self.at + 13];
        if number > 0 {
            *flags &= !CWR;
        }
        if !is_last {
            *flags &= !FIN_PSH;
        }
        let field = self.checksum_at().start;
        let pseudo = self.pseudo_sum(segment);
        put(segment, field, pseudo);
        let sum = checksum::compute(&segment[self.at..]);
        put(segment, field, sum);
    }

    /// Has the IP header say that the frame has so many bytes. The checksum of IPv4 is left to do.
    pub fn set_length(&self, headers: &mut [u8], length: usize) {
        match self.over_ipv6 {
            true => put(headers, self.ip_at + 4, (length - self.ip_at - ipv6::LENGTH) as u16),
            false => put(headers, self.ip_at + 2, (length - self.ip_at) as u16),
        }
    }

    /// The pseudo-header's sum of a packet that ends with `packet`.
    fn pseudo_sum(&self, packet: &[u8]) -> u16 {
        self.pseudo_header(packet, packet.len() - self.at).fold()
    }

    /// The pseudo-header of so many bytes of TCP or UDP.
    pub fn pseudo_header(&self, packet: &[u8], length: usize) -> Sum {
        let addresses = match self.over_ipv6 {
            false => self.ip_at + 12..self.ip_at + 20,
            true => self.ip_at + 8..self.ip_at + 40,
        };
        let protocol = if self.is_tcp { ipv4::TCP } else { ipv4::UDP };
        Sum::of(&packet[addresses]) + length as u32 + u16::from(protocol)
    }

    /// Zero would mean that UDP has no checksum (RFC 768).
    fn not_none(&self, sum: u16) -> u16 {
        if sum == 0 && !self.is_tcp { 0xffff } else { sum }
    }
}

/// Bytes of the options behind an IPv6 header, and the protocol behind them.
fn skip_options(bytes: &[u8], mut next: u8) -> Option<(usize, u8)> {
    let mut length = 0;
    while OPTIONS.contains(&next) {
        let [following, units] = *bytes.get(length..)?.first_chunk()?;
        next = following;
        length += (usize::from(units) + 1) * 8;
    }
    Some((length, next))
}

fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    /// A frame: tags, then IPv4 with so many words of options, or IPv6 with so many of hop-by-hop options, then TCP
    /// with options, or UDP.
    #[derive(Clone, Debug)]
    struct Shape {
        tags: usize,
        over_ipv6: bool,
        ip_options: usize,
        is_tcp: bool,
        tcp_options: usize,
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let shape = |(tags, over_ipv6, ip_options, is_tcp, tcp_options)| Shape {
            tags,
            over_ipv6,
            ip_options,
            is_tcp,
            tcp_options,
        };
        (0..3usize, any::<bool>(), 0..4usize, any::<bool>(), 0..10usize).prop_map(shape)
    }

    impl Shape {
        fn frame(&self, payload: &[u8], flags: u8) -> Vec<u8> {
            let mut frame = vec![2; 12];
            frame.extend([0x81, 0, 0, 7].repeat(self.tags));
            let own = if self.is_tcp { 20 + 4 * self.tcp_options } else { 8 };
            let length = own + payload.len();
            let protocol = if self.is_tcp { 6 } else { 17 };
            if self.over_ipv6 {
                let options = 8 * self.ip_options;
                let next = if options == 0 { protocol } else { 0 };
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(((length + options) as u16).to_be_bytes());
                frame.extend([next, 64]);
                frame.extend([[0xfd; 16], [0xfe; 16]].concat());
                if options > 0 {
                    frame.extend([protocol, self.ip_options as u8 - 1]);
                    frame.extend(vec![0; options - 2]);
                }
            } else {
                let header = 20 + 4 * self.ip_options;
                frame.extend([8, 0, 0x40 | (header / 4) as u8, 0]);
                frame.extend(((header + length) as u16).to_be_bytes());
                frame.extend([0xff, 0xff, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
                frame.extend(vec![1; 4 * self.ip_options]);
                let at = frame.len() - header;
                let sum = checksum::compute(&frame[at..]);
                put(&mut frame, at + 10, sum);
            }
            if self.is_tcp {
                frame.extend([0, 80, 0x30, 0x39, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1]);
                frame.extend([((own / 4) << 4) as u8, flags, 0, 9, 0xaa, 0xaa, 0, 0]);
                frame.extend(vec![1; 4 * self.tcp_options]);
            } else {
                frame.extend([0, 53, 0x30, 0x39]);
                frame.extend((length as u16).to_be_bytes());
                frame.extend([0xaa, 0xaa]);
            }
            frame.extend(payload);
            frame
        }
    }

    /// The whole of a TCP packet with options, below a VLAN tag.
    pub fn tcp_packet(over_ipv6: bool, payload: usize) -> Vec<u8> {
        let shape = Shape { tags: 1, over_ipv6, ip_options: 0, is_tcp: true, tcp_options: 3 };
        let payload: Vec<_> = (0..payload).map(|at| (at * at / 8) as u8).collect();
        shape.frame(&payload, 0x10 | FIN_PSH & 0x08)
    }

    /// Whether the checksum adds up, by the definition.
    fn adds_up(packet: &[u8], found: &Transport) -> bool {
        let segment = &packet[found.at..found.end];
        let ip = &packet[found.ip_at..];
        let mut whole = match found.over_ipv6 {
            false => ip[12..20].to_vec(),
            true => ip[8..40].to_vec(),
        };
        whole.extend((segment.len() as u32).to_be_bytes());
        whole.extend([0, 0, 0, if found.is_tcp { 6 } else { 17 }]);
        whole.extend(segment);
        checksum::verify(&whole)
    }

    proptest! {
        #[test]
        fn headers_are_found_and_checksums_completed(
            shape in shapes(),
            payload in prop::collection::vec(any::<u8>(), 0..200),
            padding in 0..9usize,
            cut in 0..300usize,
        ) {
            let mut frame = shape.frame(&payload, 0x10);
            let length = frame.len();
            frame.resize(length + padding, 0x55);
            let found = Transport::find(&frame, frame.len()).unwrap();
            prop_assert_eq!((found.over_ipv6, found.is_tcp), (shape.over_ipv6, shape.is_tcp));
            prop_assert_eq!((found.end, found.end - found.payload_at), (length, payload.len()));
            prop_assert_eq!(found.is_plain(), !shape.over_ipv6 || shape.ip_options == 0);
            let pseudo = found.pseudo_sum(&frame[..length]);
            frame[found.checksum_at()].copy_from_slice(&pseudo.to_be_bytes());
            // However the frame is cut into chunks.
            let (one, other) = frame.split_at(cut.min(frame.len()));
            let sum = found.complete([one, other].into_iter());
            frame[found.checksum_at()].copy_from_slice(&sum.to_be_bytes());
            prop_assert!(adds_up(&frame, &found));
            prop_assert!(found.is_tcp || sum != 0);
        }

        #[test]
        fn segments_are_right_and_make_up_the_packet(
            shape in shapes(),
            payload in prop::collection::vec(any::<u8>(), 1..2000),
            size in 1..500usize,
            flags: u8,
        ) {
            let frame = Shape { is_tcp: true, ..shape }.frame(&payload, flags);
            let found = Transport::find(&frame, frame.len()).unwrap();
            let (mut whole, count) = (Vec::<u8>::new(), payload.len().div_ceil(size));
            for (number, piece) in payload.chunks(size).enumerate() {
                let mut segment = [&frame[..found.payload_at], piece].concat();
                let is_last = number + 1 == count;
                found.patch_segment(&mut segment, number as u16, number * size, is_last);
                let again = Transport::find(&segment, segment.len()).unwrap();
                prop_assert_eq!(again.end, segment.len());
                prop_assert!(adds_up(&segment, &again));
                if !found.over_ipv6 {
                    prop_assert!(checksum::verify(&segment[found.ip_at..found.at]));
                    let identification = 0xffffu16.wrapping_add(number as u16);
                    prop_assert_eq!(get(&segment, found.ip_at + 4), identification);
                }
                let sequence = segment[found.at + 4..found.at + 8].first_chunk().unwrap();
                let expected = 0xffff_fff0u32.wrapping_add(whole.len() as u32);
                prop_assert_eq!(u32::from_be_bytes(*sequence), expected);
                let first = if number == 0 { CWR } else { 0 };
                let last = if is_last { FIN_PSH } else { 0 };
                prop_assert_eq!(segment[found.at + 13], flags & (!(CWR | FIN_PSH) | first | last));
                whole.extend(&segment[found.payload_at..]);
            }
            prop_assert_eq!(whole, payload);
        }

        #[test]
        fn no_change_reaches_beyond_the_frame(
            shape in shapes(),
            changes in prop::collection::vec((12..120usize, any::<u8>()), 0..4),
            cut in 0..200usize,
        ) {
            let mut frame = shape.frame(&[7; 60], 0x10);
            for (at, byte) in changes {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            if let Some(found) = Transport::find(&frame[..cut.min(frame.len())], frame.len()) {
                prop_assert!(found.checksum_at().end <= found.payload_at);
                prop_assert!(found.payload_at <= found.end && found.payload_at <= cut);
                prop_assert!(found.end <= frame.len());
                found.complete([&frame[..]].into_iter());
                if found.is_tcp {
                    found.patch_segment(&mut frame, 1, 1000, false);
                }
            }
        }
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_all_ones() {
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let shape =
            Shape { tags: 0, over_ipv6: false, ip_options: 0, is_tcp: false, tcp_options: 0 };
        let mut frame = shape.frame(&[0, 0], 0);
        frame[40..42].fill(0);
        let sum = checksum::compute_udp_v4(source, destination, &frame[34..]);
        put(&mut frame, 42, sum);
        let found = Transport::find(&frame, frame.len()).unwrap();
        let pseudo = found.pseudo_sum(&frame);
        put(&mut frame, 40, pseudo);
        assert_eq!(found.complete([&frame[..]].into_iter()), 0xffff);
        put(&mut frame, 40, 0xffff);
        assert!(checksum::verify_udp_v4(source, destination, &frame[34..]));
    }

    #[test]
    fn neither_fragments_nor_routing_headers_nor_other_protocols() {
        let mut shape =
            Shape { tags: 0, over_ipv6: false, ip_options: 0, is_tcp: true, tcp_options: 0 };
        let with = |shape: &Shape, at: usize, byte: u8| {
            let mut frame = shape.frame(&[7; 20], 0);
            frame[at] = byte;
            Transport::find(&frame, frame.len())
        };
        assert!(with(&shape, 14, 0x45).is_some());
        for (at, byte) in [(12, 9), (14, 0x55), (14, 0x44), (20, 0x20), (23, 1), (46, 0x40)] {
            assert_eq!(with(&shape, at, byte), None, "{at}: {byte:02x}");
        }
        shape.over_ipv6 = true;
        assert!(with(&shape, 20, 6).is_some());
        assert_eq!(with(&shape, 20, 43), None, "its last address is not in the header");
        assert_eq!(with(&shape, 20, 58), None);
    }
}
