//! What the sender of a frame that does not fit is told: 'fragmentation needed' over IPv4 (RFC 1191), 'packet too big'
//! over IPv6 (RFC 4443).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;
use zerocopy::IntoBytes;

use crate::neighbours::Address;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::{checksum, icmp, ipv4, ipv6};

/// The smallest MTU of a link that carries IPv4 (RFC 791), and IPv6 (RFC 8200 section 5).
const LEAST_V4: u16 = 68;
const LEAST_V6: u16 = 1280;
/// Bytes of the longest answer from the IP header on (RFC 1812 section 4.3.2.3, RFC 4443 section 3.2).
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = 1280;
/// Bytes of the packet's payload that an answer quotes at least (RFC 792).
const QUOTED: usize = 8;
/// Internetwork control (RFC 1812 section 4.3.2.5).
const PRECEDENCE: u8 = 0xc0;

/// The bytes of an answer's frame.
pub type Answer = ArrayVec<u8, { ethernet::LONGEST + LONGEST_V6 }>;

/// The addresses of a network's gateway, which answers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gateways {
    /// To IPv4 packets; without it they come from the address that the packet was for.
    pub ipv4: Option<Ipv4Addr>,
    /// The same to IPv6 packets.
    pub ipv6: Option<Ipv6Addr>,
}

/// A packet that is too big and whose sender may be told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess<'f> {
    /// The Ethernet header with its tags.
    link: &'f [u8],
    packet: &'f [u8],
    ends: Ends,
    mtu: u16,
}

/// Who sent the packet, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl<'f> Excess<'f> {
    /// Looks at a frame that is longer than the `limit` of what fits; both lengths count from the Ethernet header. `frame`
    /// holds its first bytes, `length` says how many there are.
    ///
    /// `None` where nobody may or need be told (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4): it is no IPv4 packet that
    /// must stay whole, and no IPv6 packet; the packet itself would fit; it is for many stations, or not from one; it is a
    /// later fragment; it says itself that something went wrong; it is damaged.
    pub fn of(frame: &'f [u8], length: usize, limit: u16) -> Option<Self> {
        let (header, _) = ethernet::Header::parse(frame).ok()?;
        let (ethertype, packet) = ethernet::behind_tags(frame).ok()?;
        let link = frame.get(..frame.len() - packet.len())?;
        let room = limit.saturating_sub(link.len() as u16);
        let length = length.saturating_sub(link.len());
        let to_all = header.destination.is_multicast() || header.source.is_multicast();
        let (packet, ends, mtu) = match ethertype {
            _ if to_all => return None,
            ethertype::IPV4 => whole_v4(packet, length, room)?,
            ethertype::IPV6 => whole_v6(packet, length, room)?,
            _ => return None,
        };
        let (source, destination): (IpAddr, IpAddr) = match ends {
            Ends::V4(source, destination) => (source.into(), destination.into()),
            Ends::V6(source, destination) => (source.into(), destination.into()),
        };
        let stations = [source, destination].map(Address::of_station);
        let one_each = stations.iter().all(Option::is_some) && source != destination;
        one_each.then_some(Self { link, packet, ends, mtu })
    }

    /// The frame to send back. It comes from the MAC that the packet was for, and says the largest packet that fits.
    pub fn answer(&self, gateways: &Gateways) -> Option<Answer> {
        let (to, rest) = self.link.split_first_chunk::<6>()?;
        let (from, ethertype) = rest.split_first_chunk::<6>()?;
        let mut answer = Answer::new();
        for part in [&from[..], to, ethertype] {
            answer.try_extend_from_slice(part).ok()?;
        }
        match self.ends {
            Ends::V4(source, destination) => {
                let quoted = self.quoted(LONGEST_V4 - ipv4::LENGTH);
                let from = gateways.ipv4.filter(|own| *own != source).unwrap_or(destination);
                let length = (icmp::LENGTH + quoted.len()) as u16;
                let ip = ipv4::Header::between(from, source, icmp::PROTOCOL, PRECEDENCE, length);
                answer.try_extend_from_slice(ip.as_bytes()).ok()?;
                let message = icmp::Header::fragmentation_needed(self.mtu);
                append(&mut answer, message, quoted, checksum::compute)?;
            }
            Ends::V6(source, destination) => {
                let quoted = self.quoted(LONGEST_V6 - ipv6::LENGTH);
                let from = gateways.ipv6.filter(|own| *own != source).unwrap_or(destination);
                let length = (icmp::LENGTH + quoted.len()) as u16;
                let ip = ipv6::Header::new(ipv6::ICMPV6, 64, length).between(from, source);
                answer.try_extend_from_slice(ip.as_bytes()).ok()?;
                let sum = |message: &[u8]| checksum::compute_icmpv6(from, source, message);
                append(&mut answer, icmp::Header::packet_too_big(self.mtu), quoted, sum)?;
            }
        }
        Some(answer)
    }

    /// What the answer has room for of the packet.
    fn quoted(&self, room: usize) -> &'f [u8] {
        &self.packet[..self.packet.len().min(room - icmp::LENGTH)]
    }
}

/// Appends a message with the checksum that `sum` says of it.
fn append(
    answer: &mut Answer,
    mut header: icmp::Header,
    quoted: &[u8],
    sum: impl FnOnce(&[u8]) -> u16,
) -> Option<()> {
    let at = answer.len();
    answer.try_extend_from_slice(header.as_bytes()).ok()?;
    answer.try_extend_from_slice(quoted).ok()?;
    header.checksum = sum(&answer[at..]).into();
    answer[at..].get_mut(..icmp::LENGTH)?.copy_from_slice(header.as_bytes());
    Some(())
}

type Whole<'p> = (&'p [u8], Ends, u16);

/// An IPv4 packet of at most `length` bytes that may not be fragmented and does not fit `room`.
fn whole_v4(packet: &[u8], length: usize, room: u16) -> Option<Whole<'_>> {
    let (ip, _) = ipv4::Header::parse(packet).ok()?;
    let (header, total) = (ip.header_length(), ip.total_length());
    let exceeds = (usize::from(room) + 1..=length).contains(&total);
    if room < LEAST_V4 || !exceeds || !ip.dont_fragment() || ip.is_later_fragment() {
        return None;
    }
    let packet = &packet[..packet.len().min(total)];
    let payload = packet.get(header..).filter(|payload| payload.len() >= QUOTED)?;
    let is_error = ip.protocol == icmp::PROTOCOL && icmp::is_error_v4(payload[0]);
    let sound = checksum::verify(&packet[..header]);
    (sound && !is_error).then_some((packet, Ends::V4(ip.source(), ip.destination()), room))
}

/// An IPv6 packet of at most `length` bytes that does not fit `room`. Its sender need not send less than 1280 bytes
/// at once (RFC 8200 section 5), so where not even those fit, no answer helps.
fn whole_v6(packet: &[u8], length: usize, room: u16) -> Option<Whole<'_>> {
    let (ip, _) = ipv6::Header::parse(packet).ok()?;
    let total = ipv6::LENGTH + ip.payload_length();
    let mtu = room.max(LEAST_V6);
    if !(usize::from(mtu) + 1..=length).contains(&total) {
        return None;
    }
    let packet = &packet[..packet.len().min(total)];
    let (protocol, payload) = ip.upper_layer(&packet[ipv6::LENGTH..])?;
    let is_error =
        protocol == ipv6::ICMPV6 && payload.first().is_none_or(|kind| icmp::is_error_v6(*kind));
    (!is_error).then_some((packet, Ends::V6(ip.source(), ip.destination()), mtu))
}
