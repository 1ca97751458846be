//! What outer IP headers say of how they should be carried.

use crate::wire::traffic_class::ECN;

/// DSCP and time to live of the packets to a peer. ECN is always that of the inner packet: the normal mode of RFC 6040
/// section 4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marking {
    /// Their DSCP.
    pub dscp: Dscp,
    /// Their time to live, over IPv6 the hop limit.
    pub ttl: Ttl,
}

/// The DSCP of outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dscp {
    /// That of the inner packet, 0 where it is not IP: the uniform model of RFC 2983.
    Copy,
    /// The class selector (RFC 2474 section 4.2.2) of the priority that the frame's VLAN tag had at its port, 0 where it had none.
    Priority,
    /// The same for all, 0 to 63: its pipe model.
    Fixed(u8),
}

/// The time to live of outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// That of the inner packet, [`Ttl::USUAL`] where it is not IP.
    Inherit,
    /// The same for all, 1 to 255.
    Fixed(u8),
}

impl Ttl {
    /// Where nothing else is said.
    pub const USUAL: u8 = 64;
}

impl Default for Dscp {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Fixed(Self::USUAL)
    }
}

impl Marking {
    /// The traffic class as far as it is the same for all packets.
    pub(super) fn traffic_class(self) -> u8 {
        match self.dscp {
            Dscp::Copy | Dscp::Priority => 0,
            Dscp::Fixed(dscp) => dscp << 2,
        }
    }

    /// The bits of the traffic class that are those of the inner packet.
    pub(super) fn copied(self) -> u8 {
        match self.dscp {
            Dscp::Copy | Dscp::Priority => 0xff,
            Dscp::Fixed(_) => ECN,
        }
    }

    /// Whether all that differs between packets is in their own headers, and in the traffic class.
    pub(super) fn is_plain(self) -> bool {
        self.dscp != Dscp::Priority && self.ttl != Ttl::Inherit
    }

    /// The time to live as far as it is the same for all packets.
    pub(super) fn fixed_ttl(self) -> u8 {
        match self.ttl {
            Ttl::Inherit => 0,
            Ttl::Fixed(ttl) => ttl,
        }
    }
}
