//! What a trace says: the state that a frame met, stage by stage, and what would come of it.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::Place;
use super::model::{DropCount, Encap, Mac, Role, UdpChecksum};

/// The body of `POST /v1/trace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// Name of the port that the frame comes in by; a twin has its interface's.
    pub port: String,
    /// The frame without its FCS, in hexadecimal digits.
    pub frame: String,
}

/// What would become of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The port that it comes in by.
    pub port: String,
    /// What that is for.
    pub role: Role,
    /// Bytes of the frame.
    pub length: usize,
    /// Its network, and where it comes in; absent where the frame is dropped before, or is none of a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Station>,
    /// Its destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Station>,
    /// What is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What Ferry would learn or do besides.
    pub effects: Vec<Effect>,
    /// What would leave.
    pub sent: Vec<Sent>,
    /// Packets that would leave besides these.
    pub more: usize,
    /// What would be dropped.
    pub drops: Vec<DropCount>,
}

/// How a frame comes into a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ingress {
    /// The network's ID.
    pub vni: u32,
    /// The network's name.
    pub network: String,
    /// By what; all of it is absent for a VTEP that is no peer yet.
    #[serde(flatten)]
    pub place: Place,
    /// The group that its sender is of, by the place or by what a peer tells; absent where it is of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
}

/// A MAC of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Station {
    /// The MAC.
    pub mac: String,
    /// What the network's FIB has of it; absent where it does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Mac>,
}

/// Where a frame goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Decision {
    /// One way.
    Send {
        /// Which.
        #[serde(flatten)]
        to: Place,
    },
    /// To all of its network, or of its multicast group.
    Flood {
        /// Why.
        kind: FloodKind,
    },
    /// Nowhere.
    Drop {
        /// The reason's name.
        reason: String,
    },
}

/// Why a frame is flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FloodKind {
    /// It is for all.
    Broadcast,
    /// It is for a group.
    Multicast,
    /// Nobody knows where its destination is.
    UnknownUnicast,
}

/// What Ferry would do besides forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Learn a MAC, or that it has moved, unless a limit or the network's `mac_move` keeps it.
    Learn {
        /// The MAC.
        mac: String,
        /// Where it is.
        #[serde(flatten)]
        place: Place,
    },
    /// Note whose an address is, for ARP and neighbour discovery.
    Bind {
        /// The address.
        ip: IpAddr,
        /// Its MAC.
        mac: String,
    },
    /// Make a VTEP a peer.
    LearnPeer {
        /// Its address.
        peer: IpAddr,
    },
    /// Look for a peer's next hop.
    Resolve {
        /// Its address.
        peer: Option<IpAddr>,
    },
    /// Take a path to a peer for narrower.
    Narrow {
        /// The peer's address.
        peer: IpAddr,
        /// What a router says that it carries, in bytes.
        mtu: u16,
    },
    /// Note what an IGMP or MLD message says.
    Snoop,
    /// Answer ARP or neighbour discovery here: it is not flooded.
    Suppress,
    /// Tell the sender which size fits.
    TellSize,
    /// Send what does not fit in fragments of the outer packet.
    Fragment,
    /// Keep a fragment until all of its packet are there.
    Hold,
    /// Go on with the flood later, to more targets.
    FloodOn,
}

/// A packet that would leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The port that it leaves by.
    pub port: String,
    /// What that is for.
    pub role: Role,
    /// Bytes of the packet.
    pub length: usize,
    /// Outer headers; absent where the packet is not encapsulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Outer>,
    /// All of it, in hexadecimal digits.
    pub packet: String,
}

/// Outer headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outer {
    /// Source MAC.
    pub source_mac: String,
    /// Destination MAC: the next hop's.
    pub destination_mac: String,
    /// The next hop's address; absent for a multicast group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// Source address.
    pub source: IpAddr,
    /// Destination address: the peer, or a multicast group.
    pub destination: IpAddr,
    /// Time to live, over IPv6 the hop limit.
    pub ttl: u8,
    /// UDP ports, of VXLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Udp>,
    /// How the frame is carried.
    pub encap: Encap,
    /// The network's ID in it; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// The group that the frame's sender is told to be of, in VXLAN; absent where none is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
    /// Bytes of the inner frame.
    pub inner_length: usize,
}

/// What an outer UDP header says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Udp {
    /// Tells flows apart.
    pub source: u16,
    /// The peer's VXLAN port.
    pub destination: u16,
    /// Who computes the checksum; absent for a multicast group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<UdpChecksum>,
}

/// A port that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no port '{port}'; there is {}", ports.join(", "))]
pub struct UnknownPort {
    /// What was asked for.
    pub port: String,
    /// What there is.
    pub ports: Vec<String>,
}

/// Why there is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// No such port.
    #[error(transparent)]
    UnknownPort(#[from] UnknownPort),
    /// The frame is longer than any that the port hands out.
    #[error("the frame has {length} bytes; port {port} has none of more than {most}")]
    TooLong {
        /// The port.
        port: String,
        /// Bytes of the frame.
        length: usize,
        /// The most that there can be.
        most: usize,
    },
    /// Packet memory is at its end.
    #[error("no packet buffer is free; raise eal.memory, and see 'ferry show totals'")]
    NoMbuf,
}

/// Bytes in hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// From hexadecimal digits, two a byte.
///
/// # Errors
/// Where it cannot be read, in words.
pub fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |(at, of): (usize, char)| {
        let value = of.to_digit(16).map(|value| value as u8);
        value.ok_or_else(|| format!("'{of}', at character {}, is no hexadecimal digit", at + 1))
    };
    let digits = text.chars().enumerate().map(digit).collect::<Result<Vec<u8>, String>>()?;
    if !digits.len().is_multiple_of(2) {
        return Err(format!("{} hexadecimal digits, where a byte has two", digits.len()));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Ok(bytes));
        assert_eq!(from_hex("0aFf"), Ok(vec![0x0a, 0xff]));
        let wrong = Err("'x', at character 3, is no hexadecimal digit".to_owned());
        assert_eq!(from_hex("00x0"), wrong);
        assert_eq!(from_hex("000"), Err("3 hexadecimal digits, where a byte has two".to_owned()));
    }
}
