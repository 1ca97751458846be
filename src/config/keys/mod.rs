//! The language of a configuration file: every key with its values, its default and what it means.
//!
//! Readers know from here which keys a mapping has; the JSON Schema ([`super::schema`]) and the book's page of all keys
//! ([`super::reference`]) are made of it. Readers take the bounds of numbers and times from here, and
//! are held to the rest by tests.

pub(super) mod access;
pub(super) mod machine;
pub(super) mod mirror;
pub(super) mod multicast;
pub(super) mod network;
pub(super) mod underlay;

use std::ops::RangeInclusive;

use self::Kind::{Duration, Either, List, Mapping, Number, Text, Values, Words};

/// The keys of one mapping.
pub(super) struct Keys {
    pub keys: &'static [Key],
    /// Keys of which one at least must be there.
    pub one_of: &'static [&'static str],
}

impl Keys {
    const fn of(keys: &'static [Key]) -> Self {
        Self { keys, one_of: &[] }
    }

    const fn with_one_of(one_of: &'static [&'static str], keys: &'static [Key]) -> Self {
        Self { keys, one_of }
    }

    pub fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    pub fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.keys.iter().find(|key| key.name == name).map(|key| &key.kind)
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}

/// A key of a mapping.
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub absent: Absent,
    /// One right value, in YAML.
    pub example: Option<&'static str>,
    /// In Markdown.
    pub meaning: &'static str,
}

/// What holds where a key is left out.
#[derive(Clone, Copy)]
pub(super) enum Absent {
    /// It must be there.
    Refused,
    /// Nothing.
    Nothing,
    /// A value, in YAML.
    Value(&'static str),
    /// What words say, in Markdown.
    Words(&'static str),
}

/// What values there can be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Boolean,
    /// A whole number: the least, the most, and the unit if it has one.
    Number(i64, i64, &'static str),
    /// One of some numbers, written like this.
    Values(&'static [&'static str]),
    /// One of some words.
    Words(&'static [&'static str]),
    /// A text: what it is, and what it looks like (a regular expression).
    Text(&'static str, &'static str),
    /// A text with a unit: the shortest, the longest.
    Duration(&'static str, &'static str),
    /// A list of so many at least, and so many at most.
    List(&'static Kind, usize, usize),
    Mapping(&'static Keys),
    Either(&'static [Kind]),
}

impl Kind {
    /// The whole numbers that there can be.
    pub fn numbers(&self) -> Option<RangeInclusive<i128>> {
        match self {
            Number(least, most, _) => Some((*least).into()..=(*most).into()),
            Either(kinds) => kinds.iter().find_map(Self::numbers),
            _ => None,
        }
    }

    /// The shortest and the longest time that there can be.
    pub fn durations(&self) -> Option<[&'static str; 2]> {
        match self {
            Duration(least, most) => Some([*least, *most]),
            Either(kinds) => kinds.iter().find_map(Self::durations),
            _ => None,
        }
    }

    /// What a list's elements are.
    pub fn element(&self) -> Option<&'static Self> {
        match self {
            List(of, ..) => Some(of),
            Either(kinds) => kinds.iter().find_map(Self::element),
            _ => None,
        }
    }
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, absent: Absent::Nothing, example: None, meaning: "" }
    }

    const fn required(self) -> Self {
        Self { absent: Absent::Refused, ..self }
    }

    /// Without it, this value holds.
    const fn or(self, value: &'static str) -> Self {
        Self { absent: Absent::Value(value), ..self }
    }

    /// Without it, this holds.
    const fn otherwise(self, words: &'static str) -> Self {
        Self { absent: Absent::Words(words), ..self }
    }

    const fn like(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    const fn says(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }
}

/// As many as one likes.
pub(super) const MANY: usize = usize::MAX;

const TEXT: Kind = Text("text", "");
const NAME: Kind = Text("name", "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$");
const INTERFACE: Kind = Text("name of a Linux interface", "^[A-Za-z0-9_.-]{1,15}$");
const DEVICE: Kind = Text("PCI address or DPDK devargs", "^[^ ]");
const PATH: Kind = Text("absolute path", "^/");
const SOCKET: Kind = Text("absolute path, at most 107 bytes", "^/.{0,106}$");
const SIZE: Kind =
    Text("size, `64MiB` to `1TiB`, in `MiB`, `GiB` or `TiB`", "^[0-9]+ *(MiB|GiB|TiB)$");
const IPV4: Kind = Text("IPv4 address", "^[0-9.]+$");
const IPV6: Kind = Text("IPv6 address, not link-local", "^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$");
const IP: Kind = Text("IP address", "^[0-9A-Fa-f:.]+$");
const INTERFACE_ADDRESS: Kind = Text("IP address and prefix length", "^[0-9A-Fa-f:.]+/[0-9]+$");
const PREFIX: Kind = Text("IP prefix or address", "^[0-9A-Fa-f:.]+(/[0-9]+)?$");
const ADDRESS_AND_PORT: Kind = Text("IP address and TCP port", "^[0-9A-Fa-f:.\\[\\]]+:[0-9]+$");
const MAC_ADDRESS: Kind = Text("MAC address", "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$");

const DURATION: Kind = Duration("1s", "9h");
const CORE: Kind = Number(0, 1023, "");
const UDP_PORT: Kind = Number(1, 65_535, "");
const VLAN: Kind = Number(1, 4094, "");
const RATE: Kind = Number(0, 10_000_000, "packets a second");
const TPID: Kind = Values(&["0x88a8", "0x8100"]);
const DSCP: Kind = Either(&[Number(0, 63, ""), Words(&["copy", "priority"])]);
const TTL: Kind = Either(&[Number(1, 255, ""), Words(&["inherit"])]);
const ENCAP: Kind = Words(&["vxlan", "nvgre", "gre"]);
const POLICY: Kind = Words(&["allow", "local-wins", "freeze"]);
/// Ports of a network, as what else is said of it names them.
const PLACES: Kind = List(&Either(&[NAME, Mapping(&network::PLACE)]), 0, MANY);

/// All of a file.
pub(super) static ROOT: Keys = Keys::of(&[
    Key::new("eal", Mapping(&machine::EAL)).says("How DPDK starts."),
    Key::new("cores", Mapping(&machine::CORES)).required().says(
        "Which core does what. A core is a CPU number of the kernel (`lscpu -e`). \
         `ferry run` and `ferry check` want every core to be one that the process may \
         use.",
    ),
    Key::new("api", Mapping(&machine::API)).says("How other commands talk to the process."),
    Key::new("underlay", Mapping(&underlay::UNDERLAY)).required().says("The physical network."),
    Key::new("access", Mapping(&access::ACCESS)).says("Where VMs, containers and VLANs attach."),
    Key::new("networks", List(&Mapping(&network::NETWORK), 0, MANY)).or("[]").says("The tenants."),
    Key::new("mirrors", List(&Mapping(&mirror::MIRROR), 0, MANY)).or("[]").says(
        "Copies of what passes ports, for who looks on, as OVS's mirrors and switches' SPAN and ERSPAN \
         make them. A port may be in several.",
    ),
]);
