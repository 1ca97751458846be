//! Walking the MACs and addresses of all networks in bounded steps.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::model::{Mac, MacKind, Neighbour, NeighbourKind};

/// Which MACs to list; the parameters of `GET /v1/macs`. All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MacFilter {
    /// Those of this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// This MAC, or those that begin like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub mac: Option<MacPrefix>,
    /// Those behind the access port of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Those behind this VTEP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// Static or learned ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<MacKind>,
    /// Learned ones that were last seen so many seconds ago, or longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_age: Option<u64>,
    /// Learned ones that were last seen so many seconds ago, or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// As many at most: 1 to [`Self::MOST`], [`Self::USUAL`] unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on from here: [`MacPage::next`] of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub after: Option<Cursor>,
}

impl MacFilter {
    /// MACs of a page unless the client asks otherwise.
    pub const USUAL: usize = 1_000;
    /// MACs of the largest page: what the control core can list without delaying its other work.
    pub const MOST: usize = 10_000;

    /// How many MACs to list at most.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::USUAL).clamp(1, Self::MOST)
    }

    /// Whether a MAC is one of them.
    pub fn admits(&self, mac: &Mac) -> bool {
        let age = |limit: Option<u64>, holds: fn(u64, u64) -> bool| {
            limit.is_none_or(|limit| mac.age_seconds.is_some_and(|age| holds(age, limit)))
        };
        self.vni.is_none_or(|vni| vni == mac.vni)
            && self.mac.as_ref().is_none_or(|prefix| prefix.admits(&mac.mac))
            && (self.port.is_none() || self.port == mac.place.port)
            && (self.peer.is_none() || self.peer == mac.place.peer)
            && self.kind.is_none_or(|kind| kind == mac.kind)
            && age(self.min_age, |age, limit| age >= limit)
            && age(self.max_age, |age, limit| age <= limit)
    }
}

/// How MACs begin, or all of one: up to twelve hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacPrefix(String);

/// Not how a MAC begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is neither a MAC nor how one begins; write up to twelve hexadecimal digits, such as 02:00:5e"
)]
pub struct MacPrefixError(String);

impl MacPrefix {
    /// Whether a MAC, as text, begins so.
    pub fn admits(&self, mac: &str) -> bool {
        let digits = mac.bytes().filter(u8::is_ascii_hexdigit);
        self.0.bytes().eq(digits.take(self.0.len()))
    }
}

impl FromStr for MacPrefix {
    type Err = MacPrefixError;

    /// Accepts any of colons, dashes and dots between the digits.
    fn from_str(text: &str) -> Result<Self, MacPrefixError> {
        let digits: String = text.chars().filter(|of| !":-.".contains(*of)).collect();
        let is_right =
            (1..=12).contains(&digits.len()) && digits.bytes().all(|of| of.is_ascii_hexdigit());
        if is_right {
            Ok(Self(digits.to_ascii_lowercase()))
        } else {
            Err(MacPrefixError(text.to_owned()))
        }
    }
}

impl Serialize for MacPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MacPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Some MACs, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacPage {
    /// Those that match. The control core may stop early, so a short or empty page need not be the last.
    pub macs: Vec<Mac>,
    /// Where to go on; `None` when everything has been looked at.
    pub next: Option<Cursor>,
}

/// Which addresses to list; the parameters of `GET /v1/neighbours`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeighbourFilter {
    /// Those of this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// Those of this MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Those that came to be known in this way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<NeighbourKind>,
    /// As many at most: 1 to [`MacFilter::MOST`], [`MacFilter::USUAL`] unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on from here: [`NeighbourPage::next`] of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub after: Option<Cursor>,
}

impl NeighbourFilter {
    /// How many addresses to list at most.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(MacFilter::USUAL).clamp(1, MacFilter::MOST)
    }

    /// Whether an address is one of them.
    pub fn admits(&self, neighbour: &Neighbour) -> bool {
        self.vni.is_none_or(|vni| vni == neighbour.vni)
            && self.mac.as_ref().is_none_or(|mac| mac.eq_ignore_ascii_case(&neighbour.mac))
            && self.kind.is_none_or(|kind| kind == neighbour.kind)
    }
}

/// Some addresses, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeighbourPage {
    /// Those that match; a short or empty page need not be the last.
    pub neighbours: Vec<Neighbour>,
    /// Where to go on; `None` when everything has been looked at.
    pub next: Option<Cursor>,
}

/// A place in a walk, `VNI.POSITION` as text. What comes, goes or moves while a client walks may be missed
/// or listed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The network that the walk is in. Networks are walked by ascending ID.
    pub vni: u32,
    /// The next place to look at in its table; only the control core knows what it counts.
    pub position: u64,
}

/// Not a cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a place in a list; take it from the answer's Link header")]
pub struct CursorError(String);

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}.{}", self.vni, self.position)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        text.split_once('.')
            .and_then(|(vni, position)| {
                Some(Self { vni: vni.parse().ok()?, position: position.parse().ok()? })
            })
            .ok_or_else(|| CursorError(text.to_owned()))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
