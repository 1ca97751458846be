//! MLD (RFC 2710, RFC 3810): reading both versions, and asking in the second.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use zerocopy::IntoBytes;

use super::membership::{Code, Family, Message, Query, Records, Sources, Version};
use super::multicast::group_mac;
use super::{MacAddr, Malformed, Protocol, checksum, ethernet, ipv6};

const QUERY: u8 = 130;
const REPORT_1: u8 = 131;
const DONE: u8 = 132;
const REPORT_2: u8 = 143;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Bytes of an MLDv1 message.
const LENGTH: usize = 24;
/// Bytes of an MLDv2 query before its sources.
const QUERY_LENGTH: usize = 28;
/// Bytes of an MLDv2 report before its records.
const REPORT_LENGTH: usize = 8;
/// The flag of an MLDv2 query that leaves timers alone.
const SUPPRESS: u8 = 8;

/// Hop-by-hop options that a router must look at what follows, which is ICMPv6 of MLD (RFC 2711): 8 bytes.
const ROUTER_ALERT: [u8; 8] = [ipv6::ICMPV6, 0, ALERT, 2, 0, 0, 1, 0];
const ALERT: u8 = 5;
const PAD: u8 = 0;

/// The message behind an IPv6 header and hop-by-hop options; `None` for anything but MLD. `packet` may go on behind
/// the IPv6 payload.
///
/// # Errors
/// A wrong length or checksum; no router alert, a hop limit other than 1, a source that is not of this link (RFC 3810 sections
/// 5.1.14 and 5.2.13; RFC 3590: reports from `::` count); a group that is none.
pub fn parse<'p>(ip: &ipv6::Header, packet: &'p [u8]) -> Result<Option<Message<'p>>, Malformed> {
    let truncated = Malformed::Truncated(Protocol::Mld);
    let Some(&[next, units]) = packet.first_chunk() else { return Ok(None) };
    let options = 8 + usize::from(units) * 8;
    let Some(&kind) = packet.get(options).filter(|_| next == ipv6::ICMPV6) else { return Ok(None) };
    if !matches!(kind, QUERY | REPORT_1 | DONE | REPORT_2) {
        return Ok(None);
    }
    let message = packet.get(options..ip.payload_length()).ok_or(truncated)?;
    if !checksum::verify_icmpv6(ip.source(), ip.destination(), message) {
        return Err(Malformed::Checksum(Protocol::Mld));
    }
    if ip.hop_limit != 1 {
        return Err(Malformed::HopLimit(Protocol::Mld));
    }
    let from_link =
        ip.source().is_unicast_link_local() || ip.source().is_unspecified() && kind != QUERY;
    if !from_link || !alerts_routers(&packet[2..options]) {
        return Err(Malformed::Flags(Protocol::Mld));
    }
    if kind == REPORT_2 {
        let head: &[u8; REPORT_LENGTH] = message.first_chunk().ok_or(truncated)?;
        let count = u16::from_be_bytes([head[6], head[7]]);
        let records = Records::new(&message[REPORT_LENGTH..], count, Family::V6)?;
        return Ok(Some(Message::Records(records)));
    }
    let head: &[u8; LENGTH] = message.first_chunk().ok_or(truncated)?;
    let address: [u8; 16] = std::array::from_fn(|at| head[8 + at]);
    let address = Ipv6Addr::from(address);
    let group = || {
        let wrong = Malformed::Address(Protocol::Mld);
        address.is_multicast().then_some(IpAddr::V6(address)).ok_or(wrong)
    };
    Ok(Some(match kind {
        QUERY => {
            let group = if address.is_unspecified() { None } else { Some(group()?) };
            let code = u16::from_be_bytes([head[4], head[5]]);
            Message::Query(query(code, group, message)?)
        }
        REPORT_1 => Message::Report(Version::Mld1, group()?),
        _ => Message::Leave(Version::Mld1, group()?),
    }))
}

/// Whether the options have a router alert for MLD.
fn alerts_routers(mut options: &[u8]) -> bool {
    loop {
        options = match *options {
            [ALERT, 2, 0, 0, ..] => return true,
            [PAD, ..] => &options[1..],
            [_, length, ..] => options.get(2 + usize::from(length)..).unwrap_or_default(),
            _ => return false,
        };
    }
}

/// The length tells the version (RFC 3810 section 8.1).
fn query(code: u16, group: Option<IpAddr>, message: &[u8]) -> Result<Query<'_>, Malformed> {
    let milliseconds = |number: u32| Duration::from_millis(number.into());
    let plain = Query {
        version: Version::Mld1,
        group,
        sources: Sources::none(Family::V6),
        max_response: milliseconds(code.into()),
        suppress: false,
        robustness: 0,
        interval: Duration::ZERO,
    };
    match message.get(LENGTH..QUERY_LENGTH) {
        Some(&[flags, interval, high, low]) => {
            let count = u16::from_be_bytes([high, low]);
            Ok(Query {
                version: Version::Mld2,
                sources: Sources::split(&message[QUERY_LENGTH..], count, Family::V6)?.0,
                max_response: milliseconds(Code::WORD.read(code)),
                suppress: flags & SUPPRESS != 0,
                robustness: flags & 7,
                interval: Duration::from_secs(Code::BYTE.read(interval.into()).into()),
                ..plain
            })
        }
        _ if message.len() != LENGTH => Err(Malformed::Length(Protocol::Mld)),
        _ => Ok(plain),
    }
}

/// A query of version 2 as a frame, from a querier with this MAC and this link-local address. It asks for `sources` rather
/// than the query's own.
pub fn frame(from: (MacAddr, Ipv6Addr), query: &Query<'_>, sources: &[IpAddr]) -> Vec<u8> {
    let (group, to) = match query.group {
        Some(IpAddr::V6(group)) => (group, group),
        _ => (Ipv6Addr::UNSPECIFIED, ALL_NODES),
    };
    let number = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
    let response = Code::WORD.write(number(query.max_response.as_millis()));
    let mut message = vec![QUERY, 0, 0, 0];
    message.extend(response.to_be_bytes());
    message.extend([0, 0]);
    message.extend(group.octets());
    let flags = query.robustness.min(7) | if query.suppress { SUPPRESS } else { 0 };
    message.extend([flags, Code::BYTE.write(number(query.interval.as_secs().into())) as u8]);
    message.extend((sources.len() as u16).to_be_bytes());
    for source in sources {
        if let IpAddr::V6(source) = source {
            message.extend(source.octets());
        }
    }
    let sum = checksum::compute_icmpv6(from.1, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let header = ethernet::Header {
        destination: MacAddr(group_mac(to.into())),
        source: from.0,
        ethertype: ethernet::ethertype::IPV6.into(),
    };
    let length = ROUTER_ALERT.len() + message.len();
    let ip = ipv6::Header::new(ipv6::HOP_BY_HOP, 1, length as u16).between(from.1, to);
    [header.as_bytes(), ip.as_bytes(), &ROUTER_ALERT, &message].concat()
}

#[cfg(test)]
mod tests {
    use super::super::membership::{RecordKind, hear};
    use super::*;
    use proptest::prelude::*;

    const STATION: &str = "fe80::ff:fe00:1";
    const GROUP: &str = "ff05::1:3";

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// A frame around a message whose checksum is set.
    fn packet(hops: u8, from: &str, options: &[u8], message: &[u8]) -> Vec<u8> {
        let (from, to) = (ip(from), ip("ff02::16"));
        let mut message = message.to_vec();
        let sum = checksum::compute_icmpv6(from, to, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let length = (options.len() + message.len()) as u16;
        let header = ipv6::Header::new(ipv6::HOP_BY_HOP, hops, length).between(from, to);
        let ethernet = *b"\x33\x33\0\0\0\x16\x02\0\0\0\0\x01\x86\xdd";
        let mut frame = [&ethernet, header.as_bytes(), options, &message].concat();
        frame.extend([0; 6]);
        frame
    }

    fn told(message: &[u8]) -> String {
        match hear(&packet(1, STATION, &ROUTER_ALERT, message)) {
            Ok(heard) => format!("{:?}", heard.map(|heard| heard.message)),
            Err(error) => error.to_string(),
        }
    }

    fn with_group(kind: u8, code: u16) -> Vec<u8> {
        let mut message = vec![kind, 0, 0, 0];
        message.extend(code.to_be_bytes());
        message.extend([0, 0]);
        message.extend(ip(GROUP).octets());
        message
    }

    #[test]
    fn the_messages_of_version_1() {
        assert_eq!(told(&with_group(131, 0)), format!("Some(Report(Mld1, {GROUP}))"));
        assert_eq!(told(&with_group(132, 0)), format!("Some(Leave(Mld1, {GROUP}))"));
        assert_eq!(told(&[128, 0, 0, 0, 0, 1, 0, 1]), "None", "an echo request");
    }

    #[test]
    fn queries_tell_their_version_by_length() {
        let query = |message: &[u8]| match hear(&packet(1, STATION, &ROUTER_ALERT, message)) {
            Ok(Some(heard)) => match heard.message {
                Message::Query(query) => {
                    let sources: Vec<_> = query.sources.iter().collect();
                    (query.version, query.group.is_some(), query.max_response.as_millis(), sources)
                }
                message => panic!("{message:?}"),
            },
            other => panic!("{other:?}"),
        };
        let general = [vec![130, 0, 0, 0, 0x27, 0x10, 0, 0], vec![0; 16]].concat();
        assert_eq!(query(&general), (Version::Mld1, false, 10_000, vec![]));
        let source = ip("2001:db8::9");
        let tail = [vec![2, 125, 0, 1], source.octets().to_vec()].concat();
        let two = [with_group(130, 0x9234), tail].concat();
        assert_eq!(query(&two), (Version::Mld2, true, 0x1234 << 4, vec![source.into()]));
    }

    #[test]
    fn a_report_of_version_2_has_its_records() {
        let mut message = vec![143, 0, 0, 0, 0, 0, 0, 2];
        message.extend([4, 0, 0, 0]);
        message.extend(ip(GROUP).octets());
        message.extend([6, 1, 0, 1]);
        message.extend(ip(GROUP).octets());
        message.extend(ip("2001:db8::9").octets());
        message.extend([0; 4]);
        let frame = packet(1, "::", &ROUTER_ALERT, &message);
        let Message::Records(records) = hear(&frame).unwrap().unwrap().message else { panic!() };
        assert_eq!(records.family(), Family::V6);
        let kinds: Vec<_> = records.map(|record| record.kind).collect();
        assert_eq!(kinds, [RecordKind::ToExclude, RecordKind::Block]);
        for length in 9..message.len() {
            assert_eq!(told(&message[..length]), "the MLD length is wrong", "{length}");
        }
        assert_eq!(told(&message[..7]), "the MLD header is cut off");
    }

    #[test]
    fn what_must_not_be_used_is_told() {
        let good = with_group(131, 0);
        let fault = |hops, from, options: &[u8], message: &[u8]| {
            hear(&packet(hops, from, options, message)).map(|_| ()).unwrap_err()
        };
        let alert = &ROUTER_ALERT;
        assert_eq!(fault(2, STATION, alert, &good), Malformed::HopLimit(Protocol::Mld));
        assert_eq!(fault(1, "2001:db8::1", alert, &good), Malformed::Flags(Protocol::Mld));
        let general = with_group(130, 1000);
        assert_eq!(fault(1, "::", alert, &general), Malformed::Flags(Protocol::Mld));
        let silent = [58, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(fault(1, STATION, &silent, &good), Malformed::Flags(Protocol::Mld));
        let padded = [58, 1, 0, 1, 3, 0, 0, 0, ALERT, 2, 0, 0, 1, 2, 0, 0];
        assert!(hear(&packet(1, STATION, &padded, &good)).is_ok(), "wherever the option is");
        let mut damaged = packet(1, STATION, alert, &good);
        damaged[70] ^= 1;
        assert_eq!(hear(&damaged).unwrap_err(), Malformed::Checksum(Protocol::Mld));
        let mut unicast = good.clone();
        unicast[8] = 0x20;
        assert_eq!(fault(1, STATION, alert, &unicast), Malformed::Address(Protocol::Mld));
        assert_eq!(told(&[general, vec![0, 0]].concat()), "the MLD length is wrong");
        assert_eq!(told(&good[..23]), "the MLD header is cut off");
        let whole = packet(1, STATION, alert, &good);
        assert_eq!(hear(&whole[..80]).unwrap_err(), Malformed::Truncated(Protocol::Mld));
    }

    proptest! {
        #[test]
        fn a_query_is_read_as_it_was_written(
            group in prop::option::of(any::<u64>()),
            sources in prop::collection::vec(any::<u128>(), 0..20),
            response in 0u64..32768,
            suppress: bool,
            robustness in 0u8..8,
            interval in 0u64..128,
        ) {
            let group = group.map(|low| IpAddr::from(Ipv6Addr::from(0xff05 << 112 | u128::from(low))));
            let sources: Vec<_> = sources.into_iter().map(|bits| Ipv6Addr::from(bits).into()).collect();
            let query = Query {
                version: Version::Mld2,
                group,
                sources: Sources::none(Family::V6),
                max_response: Duration::from_millis(response),
                suppress,
                robustness,
                interval: Duration::from_secs(interval),
            };
            let from = (MacAddr([2, 0, 0, 0, 0, 9]), ip("fe80::9"));
            let bytes = frame(from, &query, &sources);
            let heard = hear(&bytes).unwrap().unwrap();
            prop_assert_eq!((heard.mac, heard.source), (from.0, IpAddr::V6(from.1)));
            let Message::Query(read) = heard.message else { panic!() };
            prop_assert_eq!(read.sources.iter().collect::<Vec<_>>(), sources);
            let read = Query { sources: query.sources, ..read };
            prop_assert_eq!(format!("{read:?}"), format!("{query:?}"));
            prop_assert_eq!(&bytes[..6], &group_mac(group.unwrap_or(ALL_NODES.into())));
        }
    }
}
