//! Ports.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StormControl;

/// A DPDK port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// The operator's name for it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// PCI address or devargs, as configured.
    pub device: String,
    /// Its DPDK driver, such as `net_ice`.
    #[serde(default)]
    pub driver: String,
    /// Its Ethernet address.
    pub mac: String,
    /// Whether the link is up.
    pub link: Link,
    /// Link speed in Mbit/s; `null` if the device does not tell.
    pub speed_mbps: Option<u32>,
    /// Largest frame payload in bytes, without the Ethernet header.
    pub mtu: u16,
    /// Frames taken from the port.
    pub rx_packets: u64,
    /// Their bytes, without the FCS.
    pub rx_bytes: u64,
    /// Frames that its device lost, before they could be taken: all receive descriptors or packet buffers were full. They are in
    /// no other count, and 0 where the driver does not tell.
    #[serde(default)]
    pub rx_missed: u64,
    /// Damaged frames that its device received, of a wrong FCS for instance, and those too long for a packet buffer. They are in no
    /// other count either.
    #[serde(default)]
    pub rx_errors: u64,
    /// How often its driver found no packet buffer to receive into. Whether that lost a frame is for the driver to say.
    #[serde(default)]
    pub rx_no_buffer: u64,
    /// Frames given to the device.
    pub tx_packets: u64,
    /// Their bytes, without the FCS.
    pub tx_bytes: u64,
    /// Frames of these that the device could not send after all.
    #[serde(default)]
    pub tx_errors: u64,
    /// Frames dropped for any reason, counted at the port they came in by or should have left by.
    pub drops: u64,
    /// What of its frames may be flooded; absent where nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_control: Option<StormControl>,
    /// The MACs behind other ports that its device takes frames for; absent where that takes all frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<UnicastFilter>,
}

/// Of a device that is not promiscuous: MACs that it takes frames for besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnicastFilter {
    /// How many it takes frames for.
    pub macs: u64,
    /// How many it could.
    pub room: u64,
    /// How many it should and does not: frames for those are lost before they reach Ferry.
    pub refused: u64,
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tenants attach here.
    Access,
    /// Towards the other VTEPs.
    Underlay,
    /// The Linux interface beside an underlay port.
    Twin,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Frames can pass.
    Up,
    /// They cannot.
    Down,
    /// They never will again: the port's interface was deleted, or moved where its driver has lost it. The port works again when
    /// it is plugged in again.
    Gone,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Link::Up => "up",
            Link::Down => "down",
            Link::Gone => "gone",
        })
    }
}
