//! What is said of mirrors.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::capture::Direction;

/// A mirror: copies of what passes ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// Names of the ports.
    pub of: Vec<String>,
    /// Which frames.
    pub direction: Direction,
    /// The port that copies leave by; absent where they go to a peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The peer that they go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The ID that they have there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Copies that were given to the port or the tunnel.
    pub packets: u64,
    /// Their bytes, without FCS.
    pub bytes: u64,
    /// Copies that were not; drops of the mirrored ports say why.
    pub lost: u64,
}
