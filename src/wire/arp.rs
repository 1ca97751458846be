//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MacAddr, Malformed, Protocol, ethernet::ethertype, view};

/// An ARP packet: 28 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Packet {
    hardware: U16,
    protocol: U16,
    hardware_length: u8,
    protocol_length: u8,
    /// 1 asks, 2 answers.
    pub operation: U16,
    /// Who speaks.
    pub sender_mac: MacAddr,
    sender_ip: [u8; 4],
    /// Who is spoken to; nobody knows in a request.
    pub target_mac: MacAddr,
    target_ip: [u8; 4],
}

impl Packet {
    /// The operation of a request.
    pub const REQUEST: u16 = 1;
    /// The operation of a reply.
    pub const REPLY: u16 = 2;

    /// The packet and what lies behind it.
    ///
    /// # Errors
    /// Fewer than 28 bytes, or other address types.
    pub fn parse(bytes: &[u8]) -> Result<(&Self, &[u8]), Malformed> {
        let (packet, rest) = view::<Self>(bytes, Protocol::Arp)?;
        let types = (packet.hardware.get(), packet.protocol.get());
        let lengths = (packet.hardware_length, packet.protocol_length);
        if types == (1, ethertype::IPV4) && lengths == (6, 4) {
            Ok((packet, rest))
        } else {
            Err(Malformed::Types(Protocol::Arp))
        }
    }

    /// The address of who speaks.
    pub fn sender(&self) -> Ipv4Addr {
        self.sender_ip.into()
    }

    /// The address in question.
    pub fn target(&self) -> Ipv4Addr {
        self.target_ip.into()
    }

    /// The answer to a request: the address in question is at `mac`.
    pub fn answer(&self, mac: MacAddr) -> Self {
        Self {
            operation: Self::REPLY.into(),
            sender_mac: mac,
            sender_ip: self.target_ip,
            target_mac: self.sender_mac,
            target_ip: self.sender_ip,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: [u8; 28] =
        *b"\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x01\x0a\0\0\x01\0\0\0\0\0\0\x0a\0\0\x02";

    #[test]
    fn a_request() {
        let (packet, rest) = Packet::parse(&REQUEST).unwrap();
        assert_eq!(packet.operation.get(), Packet::REQUEST);
        assert_eq!(packet.sender_mac.to_string(), "02:00:00:00:00:01");
        assert_eq!(
            (packet.sender(), packet.target()),
            ([10, 0, 0, 1].into(), [10, 0, 0, 2].into())
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn an_answer() {
        let (request, _) = Packet::parse(&REQUEST).unwrap();
        let answer = request.answer(MacAddr([2, 0, 0, 0, 0, 2]));
        assert_eq!(
            answer.as_bytes(),
            b"\0\x01\x08\0\x06\x04\0\x02\x02\0\0\0\0\x02\x0a\0\0\x02\x02\0\0\0\0\x01\x0a\0\0\x01"
        );
    }

    #[test]
    fn other_types_and_short_packets() {
        let mut token_ring = REQUEST;
        token_ring[1] = 6;
        assert_eq!(Packet::parse(&token_ring).unwrap_err(), Malformed::Types(Protocol::Arp));
        assert_eq!(Packet::parse(&REQUEST[..27]).unwrap_err(), Malformed::Truncated(Protocol::Arp));
    }
}
