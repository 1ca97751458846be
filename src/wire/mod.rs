//! Packet formats: zero-copy views of frame bytes, each parser with the reason when it fails.
//!
//! A view is the header's own bytes under a type (`zerocopy`): parsing checks lengths once and copies
//! nothing. `parse` returns the header and what lies behind it.
#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod dhcp;
pub mod ethernet;
pub mod flow;
pub mod gre;
pub mod icmp;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
mod mac;
pub mod membership;
pub mod mld;
pub mod multicast;
pub mod nd;
pub mod pim;
pub mod segment;
pub mod traffic_class;
pub mod transport;
pub mod udp;
mod vlan;
mod vni;
pub mod vxlan;

pub use mac::{MacAddr, MacAddrError};
pub use vlan::Vlan;
pub use vni::{Vni, VniError};

/// Why bytes are not the header they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the header has.
    #[error("the {0} header is cut off")]
    Truncated(Protocol),
    /// A version number that the protocol does not have.
    #[error("the {0} version is wrong")]
    Version(Protocol),
    /// A length field that contradicts itself or what is there.
    #[error("the {0} length is wrong")]
    Length(Protocol),
    /// The checksum does not match.
    #[error("the {0} checksum is wrong")]
    Checksum(Protocol),
    /// A flag that must be set is not.
    #[error("the {0} flags are wrong")]
    Flags(Protocol),
    /// A hardware or protocol type other than Ethernet and IPv4.
    #[error("the {0} types are not Ethernet and IPv4")]
    Types(Protocol),
    /// The hop limit that shows that a packet comes from this link is another (RFC 4861 section 7.1, RFC 3810 section 5).
    #[error("the {0} hop limit is wrong")]
    HopLimit(Protocol),
    /// An address that cannot stand there.
    #[error("an address in {0} is of the wrong kind")]
    Address(Protocol),
}

/// A protocol, in [`Malformed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Protocol {
    Ethernet,
    Vlan,
    Arp,
    Ipv4,
    Ipv6,
    Udp,
    Vxlan,
    Gre,
    NeighbourDiscovery,
    Dhcp,
    Icmp,
    Igmp,
    Mld,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::Vlan => "VLAN",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Udp => "UDP",
            Self::Vxlan => "VXLAN",
            Self::Gre => "GRE",
            Self::NeighbourDiscovery => "neighbour discovery",
            Self::Dhcp => "DHCP",
            Self::Icmp => "ICMP",
            Self::Igmp => "IGMP",
            Self::Mld => "MLD",
        })
    }
}

/// The view `T` of the first bytes, and the rest.
#[inline(always)]
fn view<T>(bytes: &[u8], protocol: Protocol) -> Result<(&T, &[u8]), Malformed>
where
    T: zerocopy::FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
{
    T::ref_from_prefix(bytes).map_err(|_| Malformed::Truncated(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = ethernet::Header::parse(&bytes);
            let _ = ethernet::Tag::parse(&bytes);
            let _ = arp::Packet::parse(&bytes);
            let _ = ipv4::Header::parse(&bytes);
            let _ = ipv6::Header::parse(&bytes);
            let _ = udp::Header::parse(&bytes);
            let _ = vxlan::Header::parse(&bytes);
            let _ = icmp::Header::parse(&bytes);
            let _ = gre::Header::parse(&bytes).map(|(header, rest)| header.options(rest));
            let _ = dhcp::Message::parse(&bytes).map(|(message, options)| message.acknowledges(options));
            let _ = ipv6::Header::parse(&bytes).map(|(header, rest)| nd::Message::parse(header, rest));
            let _ = flow::Flow::of(&bytes);
            let _ = membership::hear(&bytes);
        }
    }
}
