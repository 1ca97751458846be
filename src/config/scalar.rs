//! The little languages inside of values: names, sizes, durations, addresses.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::item::Item;
use crate::wire::MacAddr;

const MIB: u64 = 1 << 20;

/// What was used first, to name it when it is used again.
pub(super) struct Unique<K>(HashMap<K, First>);

/// Who used something first, and in which line if it stands in the file that is being read.
pub(super) struct First {
    pub owner: String,
    pub line: Option<u32>,
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.owner)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

impl<K> Default for Unique<K> {
    fn default() -> Self {
        Unique(HashMap::new())
    }
}

impl<K: Eq + Hash> Unique<K> {
    /// Notes that `owner` uses `key` at `item`; the earlier use, described, if there is one.
    pub fn earlier(&mut self, key: K, owner: &str, item: &Item<'_>) -> Option<String> {
        match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(first) => Some(first.get().to_string()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(First { owner: owner.to_owned(), line: Some(item.line) });
                None
            }
        }
    }

    /// Notes a use that stands in no file that is being read.
    pub fn known(&mut self, key: K, owner: &str) {
        self.0.insert(key, First { owner: owner.to_owned(), line: None });
    }
}

/// A name of a port or a network: it becomes a metric label, a column and an argument.
pub(super) fn name(item: &Item<'_>) -> Option<String> {
    let what =
        "a name of 1 to 63 letters, digits, '-', '_' or '.', beginning with a letter or digit";
    let text = item.text(what)?;
    let good = text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if good { Some(text.to_owned()) } else { item.expected(what) }
}

/// A name that Linux takes for an interface (`IFNAMSIZ` is 16 with the final zero).
pub(super) fn interface_name(item: &Item<'_>) -> Option<String> {
    let what = "an interface name of 1 to 15 letters, digits, '-', '_' or '.'";
    let text = item.text(what)?;
    let good = (1..=15).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !matches!(text, "." | "..");
    if good { Some(text.to_owned()) } else { item.expected(what) }
}

/// A size in bytes, in whole MiB as EAL takes it.
pub(super) fn memory(item: &Item<'_>) -> Option<u64> {
    item.parse_with(
        "a size from 64MiB to 1TiB with its unit (MiB, GiB or TiB), such as 512MiB",
        |text| {
            let (number, unit) = number_and_unit(text)?;
            let unit = match unit {
                "MiB" => MIB,
                "GiB" => MIB << 10,
                "TiB" => MIB << 20,
                _ => return None,
            };
            number.checked_mul(unit).filter(|bytes| (64 * MIB..=MIB << 20).contains(bytes))
        },
    )
}

/// How long an idle MAC stays; `None` for ever.
pub(super) fn ageing(item: &Item<'_>) -> Option<Option<Duration>> {
    if item.is_zero() {
        return Some(None);
    }
    item.parse_with(
        "a duration from 1s to 9h with its unit (s, m or h), such as 300s, or 'off' for never",
        |text| {
            if matches!(text, "off" | "0s") {
                return Some(None);
            }
            seconds(text).map(Some)
        },
    )
}

/// A time from 1 s to 9 h.
pub(super) fn duration(item: &Item<'_>) -> Option<Duration> {
    item.parse_with("a duration from 1s to 9h with its unit (s, m or h), such as 60s", seconds)
}

fn seconds(text: &str) -> Option<Duration> {
    time(text).filter(|time| time.subsec_nanos() == 0 && (1..=9 * 3600).contains(&time.as_secs()))
}

/// A time that the key may have.
pub(super) fn interval(item: &Item<'_>, example: &str) -> Option<Duration> {
    let [least, most] = item.durations();
    let what = format!(
        "a duration from {least} to {most} with its unit (ms, s, m or h), such as {example}"
    );
    item.parse_with(&what, |text| {
        time(text).filter(|it| time(least) <= Some(*it) && Some(*it) <= time(most))
    })
}

fn time(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// An address that one host can have, and that a route leads to.
pub(super) fn unicast(item: &Item<'_>) -> Option<IpAddr> {
    let address = item.parse::<IpAddr>("an IP address such as 192.0.2.1 or 2001:db8::1")?;
    let kind = match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    };
    match kind {
        None => Some(address),
        Some(kind) => {
            item.error(format_args!("{address} is {kind}; give the unicast address of one host"));
            None
        }
    }
}

/// An IPv4 address that one host can have.
pub(super) fn unicast_ipv4(item: &Item<'_>) -> Option<Ipv4Addr> {
    let what = "an IPv4 address such as 192.0.2.1";
    item.parse::<Ipv4Addr>(what)?;
    match unicast(item)? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => item.expected(what),
    }
}

/// An IPv6 address that one host can have.
pub(super) fn unicast_ipv6(item: &Item<'_>) -> Option<Ipv6Addr> {
    let what = "an IPv6 address such as 2001:db8::1";
    item.parse::<Ipv6Addr>(what)?;
    match unicast(item)? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => item.expected(what),
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address {
        a if a.is_broadcast() => "the broadcast address",
        a if a.is_multicast() => "a multicast address",
        a if a.is_loopback() => "a loopback address",
        // RFC 1122 section 3.2.1.3: 0.0.0.0/8 is no destination.
        a if a.octets()[0] == 0 => "an unspecified address",
        a if a.octets()[0] >= 240 => "a reserved address",
        _ => return None,
    })
}

fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    Some(match address {
        a if a.is_multicast() => "a multicast address",
        a if a.is_loopback() => "a loopback address",
        a if a.is_unspecified() => "an unspecified address",
        // Which link it is on would have to be said too.
        a if a.is_unicast_link_local() => "a link-local address",
        a if a.to_ipv4_mapped().is_some() => "an IPv4 address in IPv6's clothes",
        _ => return None,
    })
}

/// A MAC address that one station can have.
pub(super) fn unicast_mac(item: &Item<'_>) -> Option<MacAddr> {
    let mac: MacAddr = item.parse("a MAC address such as \"02:00:00:00:00:01\"")?;
    let kind = match mac.0 {
        [0, 0, 0, 0, 0, 0] => "all zero",
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => "the broadcast address",
        [first, ..] if first & 1 == 1 => "a multicast address",
        _ => return Some(mac),
    };
    item.error(format_args!("{mac} is {kind}; give the unicast MAC address of one station"));
    None
}
