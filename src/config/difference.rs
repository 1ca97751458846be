//! What differs between two configurations, for people and for programs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::macs::{MacPlace, StaticMac};
use super::network::{Member, Network};
use super::peer::Peer;
use super::port::Port;
use super::underlay::Vtep;
use super::{Config, render};
use crate::neighbours::Address;
use crate::wire::MacAddr;

/// A part of a configuration that is another one than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// What it is.
    pub resource: Resource,
    /// Which of them: a VNI, a port's name, an IP address; absent where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// The keys that differ, where it is in both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyDifference>,
    /// Whether a running process cannot follow.
    pub needs_restart: bool,
}

/// A part of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// `eal`.
    Eal,
    /// `cores`.
    Cores,
    /// `api`.
    Api,
    /// Of `underlay.ports`.
    UnderlayPort,
    /// `underlay.vtep`.
    Vtep,
    /// Of `underlay.neighbours`.
    Neighbour,
    /// Of `access.ports`.
    AccessPort,
    /// Of `networks`.
    Network,
    /// Of `mirrors`.
    Mirror,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is in the new configuration only.
    Added,
    /// It is in the old one only.
    Removed,
    /// It is in both.
    Changed,
}

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyDifference {
    /// Within its part, such as `flood.peers`.
    pub key: String,
    /// How.
    #[serde(flatten)]
    pub edit: Edit,
}

/// How a value differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Edit {
    /// A set of static MACs, which may be large.
    Macs(StaticChanges),
    /// A list.
    List {
        /// In the new one only.
        added: Vec<Value>,
        /// In the old one only.
        removed: Vec<Value>,
    },
    /// Anything else; `null` where it is absent.
    Value {
        /// In the old one.
        old: Value,
        /// In the new one.
        new: Value,
    },
}

/// What differs between two sets of static MACs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaticChanges {
    /// MACs.
    pub macs: Changes,
    /// Their addresses.
    pub addresses: Changes,
}

/// What differs between two sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// In the new one only.
    pub added: u64,
    /// In both, at another place (a MAC) or another MAC's (an address).
    pub changed: u64,
    /// In the old one only.
    pub removed: u64,
    /// The same in both.
    pub kept: u64,
}

impl Config {
    /// What `new` has otherwise, in the order of a file's sections.
    pub fn difference(&self, new: &Config) -> Vec<Difference> {
        let (old_vtep, new_vtep) = (&self.underlay.vtep, &new.underlay.vtep);
        let mut list = Vec::new();
        let mut single = |resource, old, new, is_fixed: fn(&str) -> bool| {
            let keys = keys(&old, &new);
            if !keys.is_empty() {
                let needs_restart = keys.iter().any(|key| is_fixed(&key.key));
                let fate = Fate::Changed;
                list.push(Difference { resource, name: None, fate, keys, needs_restart });
            }
        };
        single(Resource::Eal, render::eal(&self.eal), render::eal(&new.eal), |_| true);
        single(Resource::Cores, render::cores(&self.cores), render::cores(&new.cores), |_| true);
        single(Resource::Api, render::api(&self.api), render::api(&new.api), |_| true);
        single(Resource::Vtep, render::vtep(old_vtep), render::vtep(new_vtep), |key| {
            matches!(key, "ipv4" | "ipv6" | "vxlan_port")
        });
        list.extend(named(
            (Resource::UnderlayPort, true),
            (&self.underlay.ports, &new.underlay.ports),
            |port| port.port.name.clone(),
            |old, new| keys(&render::underlay_port(old), &render::underlay_port(new)),
        ));
        list.extend(named(
            (Resource::Neighbour, false),
            (&self.underlay.neighbours, &new.underlay.neighbours),
            |neighbour| neighbour.ip.to_string(),
            |old, new| keys(&render::neighbour(old), &render::neighbour(new)),
        ));
        list.extend(named(
            (Resource::AccessPort, false),
            (&self.access, &new.access),
            |port| port.name.clone(),
            |old, new| keys(&render::port(old), &render::port(new)),
        ));
        list.extend(named(
            (Resource::Network, false),
            (&self.networks, &new.networks),
            |network| network.vni.to_string(),
            |old, new| old.keys_that_differ(new, (old_vtep, new_vtep)),
        ));
        list.extend(named(
            (Resource::Mirror, false),
            (&self.mirrors, &new.mirrors),
            |mirror| mirror.name.clone(),
            |old, new| keys(&render::mirror(old, old_vtep), &render::mirror(new, new_vtep)),
        ));
        list
    }
}

impl Config {
    /// What is done for access ports of these names whose devices are not there any more, and that are in `new` what they
    /// were.
    pub fn plugged_again(&self, new: &Config, lost: &[String]) -> Vec<Difference> {
        let stays = |port: &&Port| lost.contains(&port.name) && self.access.contains(port);
        let again = |port: &Port| Difference {
            resource: Resource::AccessPort,
            name: Some(port.name.clone()),
            fate: Fate::Changed,
            keys: vec![KeyDifference {
                key: "device".to_owned(),
                edit: Edit::Value { old: Value::Null, new: port.device.as_str().into() },
            }],
            needs_restart: false,
        };
        new.access.iter().filter(stays).map(again).collect()
    }
}

impl Network {
    fn keys_that_differ(&self, new: &Network, vteps: (&Vtep, &Vtep)) -> Vec<KeyDifference> {
        let mut keys = keys(&render::settings(self, vteps.0), &render::settings(new, vteps.1));
        let changes = self.static_changes(new);
        if changes.macs.any() || changes.addresses.any() {
            keys.push(KeyDifference { key: "macs".to_owned(), edit: Edit::Macs(changes) });
        }
        keys
    }

    /// What differs between the static MACs of two versions of a network.
    pub fn static_changes(&self, new: &Network) -> StaticChanges {
        StaticChanges {
            macs: Changes::between(&self.places(), &new.places()),
            addresses: Changes::between(&self.owners(), &new.owners()),
        }
    }

    fn places(&self) -> HashMap<MacAddr, Place<'_>> {
        let place = |mac: &StaticMac| match mac.place {
            MacPlace::Member(index) => (mac.mac, Place::Member(&self.members[index])),
            MacPlace::Peer(peer) => (mac.mac, Place::Peer(peer)),
        };
        self.macs.iter().map(place).collect()
    }

    fn owners(&self) -> HashMap<Address, MacAddr> {
        let mut owners = HashMap::new();
        for StaticMac { mac, ips, .. } in &self.macs {
            owners.extend(ips.iter().map(|address| (*address, *mac)));
        }
        owners
    }
}

/// Where a static MAC is, whatever the order of its network's ports.
#[derive(PartialEq)]
enum Place<'n> {
    Member(&'n Member),
    Peer(Peer),
}

impl Changes {
    fn between<K: Eq + Hash, V: PartialEq>(old: &HashMap<K, V>, new: &HashMap<K, V>) -> Self {
        let mut changes = Self::default();
        for (key, value) in new {
            match old.get(key) {
                None => changes.added += 1,
                Some(known) if known == value => changes.kept += 1,
                Some(_) => changes.changed += 1,
            }
        }
        changes.removed = old.len() as u64 - changes.kept - changes.changed;
        changes
    }

    fn any(&self) -> bool {
        self.added + self.changed + self.removed > 0
    }
}

impl Difference {
    /// In one line, without values.
    pub fn summary(&self) -> String {
        let fate = match self.fate {
            Fate::Added => "added",
            Fate::Removed => "removed",
            Fate::Changed => "changed",
        };
        let mut line = self.resource.to_string();
        for part in self.name.iter().map(String::as_str).chain([fate]) {
            line.extend([" ", part]);
        }
        let keys: Vec<_> = self.keys.iter().map(|of| of.key.as_str()).collect();
        if keys.is_empty() { line } else { format!("{line} ({})", keys.join(", ")) }
    }
}

/// The differences of a list whose elements have names.
fn named<T: PartialEq>(
    (resource, needs_restart): (Resource, bool),
    (old, new): (&[T], &[T]),
    name: impl Fn(&T) -> String,
    keys: impl Fn(&T, &T) -> Vec<KeyDifference>,
) -> Vec<Difference> {
    let known: HashMap<String, &T> = old.iter().map(|of| (name(of), of)).collect();
    let wanted: HashSet<String> = new.iter().map(&name).collect();
    let difference = |name: String, fate, keys| {
        Some(Difference { resource, name: Some(name), fate, keys, needs_restart })
    };
    let gone = old.iter().map(&name).filter(|name| !wanted.contains(name));
    let gone = gone.filter_map(|name| difference(name, Fate::Removed, Vec::new()));
    let others = new.iter().filter_map(|now| {
        let name = name(now);
        match known.get(&name) {
            None => difference(name, Fate::Added, Vec::new()),
            Some(&before) if before == now => None,
            Some(&before) => match keys(before, now) {
                keys if keys.is_empty() => None,
                keys => difference(name, Fate::Changed, keys),
            },
        }
    });
    gone.chain(others).collect()
}

/// The keys in which two objects differ.
fn keys(old: &Value, new: &Value) -> Vec<KeyDifference> {
    let mut list = Vec::new();
    collect_keys("", old, new, &mut list);
    list
}

fn collect_keys(key: &str, old: &Value, new: &Value, list: &mut Vec<KeyDifference>) {
    if old == new {
        return;
    }
    let edit = match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let gone = before.keys().filter(|key| !after.contains_key(*key));
            for inner in after.keys().chain(gone) {
                let path = if key.is_empty() { inner.clone() } else { format!("{key}.{inner}") };
                collect_keys(&path, &old[inner], &new[inner], list);
            }
            return;
        }
        (Value::Array(before), Value::Array(after)) => {
            match (only_in(after, before), only_in(before, after)) {
                // The same in another order.
                (added, removed) if added.is_empty() && removed.is_empty() => {
                    Edit::Value { old: old.clone(), new: new.clone() }
                }
                (added, removed) => Edit::List { added, removed },
            }
        }
        _ => Edit::Value { old: old.clone(), new: new.clone() },
    };
    list.push(KeyDifference { key: key.to_owned(), edit });
}

fn only_in(list: &[Value], other: &[Value]) -> Vec<Value> {
    let other: HashSet<String> = other.iter().map(Value::to_string).collect();
    list.iter().filter(|value| !other.contains(&value.to_string())).cloned().collect()
}

impl fmt::Display for Difference {
    /// A line, and one for each key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.fate {
            Fate::Added => '+',
            Fate::Removed => '-',
            Fate::Changed => '~',
        };
        write!(f, "{sign} {}", self.resource)?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))?;
        if self.needs_restart {
            f.write_str("  (needs a restart)")?;
        }
        self.keys
            .iter()
            .try_for_each(|KeyDifference { key, edit }| write!(f, "\n    {key}: {edit}"))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Eal => "eal",
            Resource::Cores => "cores",
            Resource::Api => "api",
            Resource::UnderlayPort => "underlay port",
            Resource::Vtep => "vtep",
            Resource::Neighbour => "neighbour",
            Resource::AccessPort => "access port",
            Resource::Network => "network",
            Resource::Mirror => "mirror",
        })
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edit::Macs(changes) => changes.fmt(f),
            Edit::Value { old, new } => write!(f, "{} -> {}", Plain(old), Plain(new)),
            Edit::List { added, removed } => {
                let signed =
                    removed.iter().map(|of| ('-', of)).chain(added.iter().map(|of| ('+', of)));
                for (number, (sign, value)) in signed.enumerate() {
                    let comma = if number > 0 { ", " } else { "" };
                    write!(f, "{comma}{sign}{}", Plain(value))?;
                }
                Ok(())
            }
        }
    }
}

/// A value as one would write it in a file, mostly.
struct Plain<'v>(&'v Value);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("none"),
            Value::String(text) => f.write_str(text),
            other => other.fmt(f),
        }
    }
}

impl fmt::Display for StaticChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MACs: {}; addresses: {}", self.macs, self.addresses)
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, kept } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed, {kept} kept")
    }
}
