//! Multicast groups.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;

/// A member of a multicast group of a network, a multicast router, which gets all groups, or who asks for members: an
/// access port, or a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// The network's ID.
    pub vni: u32,
    /// The network's name.
    pub network: String,
    /// The group's address; absent for routers and queriers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<IpAddr>,
    /// What it is, and how it came to be known.
    pub kind: MemberKind,
    /// Where it is; the peer may be the underlay's group, and Ferry's own querier is nowhere.
    #[serde(flatten)]
    pub place: Place,
    /// What it speaks; absent for what the configuration says, as are all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<GroupProtocol>,
    /// A querier's own address: all zero for a switch without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Which sources a member wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<GroupFilter>,
    /// Sources that it named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<GroupSource>,
    /// Seconds until it is forgotten, unless it is heard again; `null` for never.
    pub expires_seconds: Option<u64>,
}

/// What a row of the groups is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A member from the configuration.
    Static,
    /// A member from IGMP or MLD.
    Learned,
    /// A multicast router: from the configuration, its queries, or PIM.
    Router,
    /// Who asks for members.
    Querier,
}

/// How members, routers and queriers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum GroupProtocol {
    Igmpv1,
    Igmpv2,
    Igmpv3,
    Mldv1,
    Mldv2,
    Pim,
}

/// Which sources a member of a group wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupFilter {
    /// Those that are wanted by name.
    Include,
    /// All but those that are named and not wanted.
    Exclude,
}

/// A source that a member of a group named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSource {
    /// Its address.
    pub source: IpAddr,
    /// Whether its frames are forwarded.
    pub wanted: bool,
    /// Seconds until they are not, unless somebody asks for them again; `null` where they are not.
    pub expires_seconds: Option<u64>,
}
