//! IGMP (RFC 1112, RFC 2236, RFC 3376): reading all versions, and asking in the third.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use zerocopy::IntoBytes;

use super::membership::{Code, Family, Message, Query, Records, Sources, Version};
use super::multicast::group_mac;
use super::{MacAddr, Malformed, Protocol, checksum, ethernet, ipv4};

/// IPv4 protocol number.
pub const PROTOCOL: u8 = 2;

const QUERY: u8 = 0x11;
const REPORT_1: u8 = 0x12;
const REPORT_2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_3: u8 = 0x22;

const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// Bytes of IGMPv1 and IGMPv2, and of an IGMPv3 report before its records.
const LENGTH: usize = 8;
/// Bytes of an IGMPv3 query before its sources.
const QUERY_LENGTH: usize = 12;
/// What IGMPv1 stations take as the maximum response time, which its queries do not say (RFC 2236 section 4).
const RESPONSE_1: Duration = Duration::from_secs(10);
/// The unit of response times.
const TENTH: Duration = Duration::from_millis(100);
/// The flag of an IGMPv3 query that leaves timers alone.
const SUPPRESS: u8 = 8;

/// The message in an IPv4 packet of this protocol, which begins with its header and may go on behind its end.
///
/// # Errors
/// Fragments, a wrong length, IP header or checksum; a time to live other than 1; a group that is none.
pub fn parse<'p>(ip: &ipv4::Header, packet: &'p [u8]) -> Result<Message<'p>, Malformed> {
    let truncated = Malformed::Truncated(Protocol::Igmp);
    let header = packet.get(..ip.header_length()).ok_or(truncated)?;
    let message = packet.get(ip.header_length()..ip.total_length()).ok_or(truncated)?;
    if ip.is_fragment() {
        return Err(truncated);
    }
    if !checksum::verify(header) || !checksum::verify(message) {
        return Err(Malformed::Checksum(Protocol::Igmp));
    }
    if ip.ttl != 1 {
        return Err(Malformed::HopLimit(Protocol::Igmp));
    }
    let &[kind, code, _, _, a, b, c, d] = message.first_chunk::<LENGTH>().ok_or(truncated)?;
    let address = Ipv4Addr::new(a, b, c, d);
    let group = || {
        let wrong = Malformed::Address(Protocol::Igmp);
        address.is_multicast().then_some(IpAddr::V4(address)).ok_or(wrong)
    };
    Ok(match kind {
        QUERY => {
            let group = if address.is_unspecified() { None } else { Some(group()?) };
            Message::Query(query(code, group, message)?)
        }
        REPORT_1 => Message::Report(Version::Igmp1, group()?),
        REPORT_2 => Message::Report(Version::Igmp2, group()?),
        LEAVE => Message::Leave(Version::Igmp2, group()?),
        REPORT_3 => {
            let count = u16::from_be_bytes([c, d]);
            Message::Records(Records::new(&message[LENGTH..], count, Family::V4)?)
        }
        _ => Message::Unknown,
    })
}

/// The length tells the version (RFC 3376 section 7.1).
fn query(code: u8, group: Option<IpAddr>, message: &[u8]) -> Result<Query<'_>, Malformed> {
    let plain = Query {
        version: Version::Igmp2,
        group,
        sources: Sources::none(Family::V4),
        max_response: TENTH * u32::from(code),
        suppress: false,
        robustness: 0,
        interval: Duration::ZERO,
    };
    match (message.get(LENGTH..QUERY_LENGTH), code) {
        (Some(&[flags, interval, high, low]), _) => {
            let count = u16::from_be_bytes([high, low]);
            Ok(Query {
                version: Version::Igmp3,
                sources: Sources::split(&message[QUERY_LENGTH..], count, Family::V4)?.0,
                max_response: TENTH * Code::BYTE.read(code.into()),
                suppress: flags & SUPPRESS != 0,
                robustness: flags & 7,
                interval: Duration::from_secs(Code::BYTE.read(interval.into()).into()),
                ..plain
            })
        }
        _ if message.len() != LENGTH => Err(Malformed::Length(Protocol::Igmp)),
        (_, 0) => Ok(Query { version: Version::Igmp1, max_response: RESPONSE_1, ..plain }),
        _ => Ok(plain),
    }
}

/// A query of version 3 as a frame, from a querier with this MAC and this address, which may be 0.0.0.0 (RFC 4541
/// section 2.1.1). It asks for `sources` rather than the query's own.
pub fn frame(from: (MacAddr, Ipv4Addr), query: &Query<'_>, sources: &[IpAddr]) -> Vec<u8> {
    let (group, to) = match query.group {
        Some(IpAddr::V4(group)) => (group, group),
        _ => (Ipv4Addr::UNSPECIFIED, ALL_SYSTEMS),
    };
    let code = |number: u128| Code::BYTE.write(number.try_into().unwrap_or(u32::MAX)) as u8;
    let response = code(query.max_response.as_millis() / TENTH.as_millis());
    let mut message = vec![QUERY, response, 0, 0];
    message.extend(group.octets());
    let flags = query.robustness.min(7) | if query.suppress { SUPPRESS } else { 0 };
    message.extend([flags, code(query.interval.as_secs().into())]);
    message.extend((sources.len() as u16).to_be_bytes());
    for source in sources {
        if let IpAddr::V4(source) = source {
            message.extend(source.octets());
        }
    }
    let sum = checksum::compute(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let header = ethernet::Header {
        destination: MacAddr(group_mac(to.into())),
        source: from.0,
        ethertype: ethernet::ethertype::IPV4.into(),
    };
    let mut ip = [0; 24];
    let length = (ip.len() + message.len()) as u16;
    // Internetwork control, and the router alert option (RFC 2113).
    ip[..2].copy_from_slice(&[0x46, 0xc0]);
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    (ip[8], ip[9]) = (1, PROTOCOL);
    ip[12..16].copy_from_slice(&from.1.octets());
    ip[16..20].copy_from_slice(&to.octets());
    ip[20..].copy_from_slice(&[0x94, 4, 0, 0]);
    let sum = checksum::compute(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [header.as_bytes(), &ip, &message].concat();
    frame.resize(frame.len().max(ethernet::LEAST), 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::super::membership::{RecordKind, hear};
    use super::*;
    use proptest::prelude::*;

    /// A frame around a message whose checksum is set, from 10.0.0.1, with the router alert option.
    fn packet(ttl: u8, to: [u8; 4], message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        let sum = checksum::compute(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = vec![1, 0, 0x5e, to[1] & 0x7f, to[2], to[3], 2, 0, 0, 0, 0, 1, 8, 0];
        let length = (24 + message.len()) as u8;
        let mut ip = vec![0x46, 0xc0, 0, length, 0, 0, 0x40, 0, ttl, PROTOCOL, 0, 0, 10, 0, 0, 1];
        ip.extend(to);
        ip.extend([0x94, 4, 0, 0]);
        let sum = checksum::compute(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(ip);
        frame.extend(message);
        // Ethernet pads short frames.
        frame.resize(frame.len().max(60), 0);
        frame
    }

    fn told(message: &[u8]) -> String {
        match hear(&packet(1, [224, 0, 0, 1], message)) {
            Ok(heard) => format!("{:?}", heard.unwrap().message),
            Err(error) => error.to_string(),
        }
    }

    const GROUP: [u8; 4] = [239, 1, 1, 1];

    fn with_group(kind: u8, code: u8) -> Vec<u8> {
        [&[kind, code, 0, 0], &GROUP[..]].concat()
    }

    #[test]
    fn the_messages_of_versions_1_and_2() {
        let group = IpAddr::from(GROUP);
        assert_eq!(told(&with_group(0x12, 0)), format!("Report(Igmp1, {group})"));
        assert_eq!(told(&with_group(0x16, 0)), format!("Report(Igmp2, {group})"));
        assert_eq!(told(&with_group(0x17, 0)), format!("Leave(Igmp2, {group})"));
        assert_eq!(told(&with_group(0x13, 0)), "Unknown", "DVMRP");
        let heard = packet(1, GROUP, &with_group(0x16, 0));
        let heard = hear(&heard).unwrap().unwrap();
        assert_eq!(heard.source, IpAddr::from([10, 0, 0, 1]));
        assert_eq!(heard.mac, MacAddr([2, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn queries_tell_their_version_by_length_and_response_time() {
        let query = |message: &[u8]| match hear(&packet(1, [224, 0, 0, 1], message)) {
            Ok(Some(heard)) => match heard.message {
                Message::Query(query) => {
                    let sources: Vec<_> = query.sources.iter().collect();
                    (query.version, query.group, query.max_response.as_millis(), sources)
                }
                message => panic!("{message:?}"),
            },
            other => panic!("{other:?}"),
        };
        let group = Some(IpAddr::from(GROUP));
        assert_eq!(query(&[0x11, 0, 0, 0, 0, 0, 0, 0]), (Version::Igmp1, None, 10_000, vec![]));
        assert_eq!(query(&[0x11, 100, 0, 0, 0, 0, 0, 0]), (Version::Igmp2, None, 10_000, vec![]));
        assert_eq!(query(&with_group(0x11, 10)), (Version::Igmp2, group, 1000, vec![]));
        let three = [with_group(0x11, 0x8a), vec![2, 125, 0, 1, 10, 0, 0, 9]].concat();
        assert_eq!(query(&three), (Version::Igmp3, group, 20_800, vec![[10, 0, 0, 9].into()]));
    }

    #[test]
    fn a_report_of_version_3_has_its_records_and_passes_over_what_it_does_not_know() {
        let mut message = vec![0x22, 0, 0, 0, 0, 0, 0, 3];
        message.extend([4, 0, 0, 0, 239, 1, 1, 1]);
        message.extend([9, 1, 0, 1, 239, 1, 1, 2, 10, 0, 0, 1, 1, 2, 3, 4]);
        message.extend([5, 0, 0, 2, 232, 1, 1, 1, 10, 0, 0, 1, 10, 0, 0, 2]);
        let frame = packet(1, [224, 0, 0, 22], &message);
        let Message::Records(records) = hear(&frame).unwrap().unwrap().message else { panic!() };
        assert_eq!(records.family(), Family::V4);
        let records: Vec<_> = records
            .map(|record| (record.kind, record.group.to_string(), record.sources.iter().count()))
            .collect();
        let record = |kind, group: &str, sources| (kind, group.to_owned(), sources);
        assert_eq!(
            records,
            [
                record(RecordKind::ToExclude, "239.1.1.1", 0),
                record(RecordKind::Allow, "232.1.1.1", 2)
            ]
        );
        for length in 9..message.len() {
            assert_eq!(told(&message[..length]), "the IGMP length is wrong", "{length}");
        }
    }

    #[test]
    fn what_must_not_be_used_is_told() {
        let good = packet(1, GROUP, &with_group(0x16, 0));
        assert_eq!(told(&with_group(0x16, 0)[..7]), "the IGMP header is cut off");
        assert_eq!(told(&[0x16, 0, 0, 0, 10, 0, 0, 1]), "an address in IGMP is of the wrong kind");
        assert_eq!(told(&[0x11, 9, 0, 0, 10, 0, 0, 1]), "an address in IGMP is of the wrong kind");
        let long = [with_group(0x11, 10), vec![2, 125]].concat();
        assert_eq!(told(&long), "the IGMP length is wrong", "neither version 2 nor 3");
        let few = [with_group(0x11, 10), vec![2, 125, 0, 1]].concat();
        assert_eq!(told(&few), "the IGMP length is wrong", "a source too few");

        let fault = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            let ip: &mut [u8] = &mut bad[14..38];
            ip[10..12].fill(0);
            let sum = checksum::compute(ip);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            hear(&bad).unwrap_err()
        };
        assert_eq!(fault(22, 2), Malformed::HopLimit(Protocol::Igmp));
        assert_eq!(fault(20, 0x20), Malformed::Truncated(Protocol::Igmp), "a fragment");
        assert_eq!(fault(17, 200), Malformed::Truncated(Protocol::Igmp));
        assert_eq!(fault(43, 7), Malformed::Checksum(Protocol::Igmp));
        let mut bad = good.clone();
        bad[24] ^= 1;
        assert_eq!(hear(&bad).unwrap_err(), Malformed::Checksum(Protocol::Igmp), "the IP header's");
        for length in 14..good.len() - 14 {
            assert!(hear(&good[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_query_is_read_as_it_was_written(
            group in prop::option::of(0u32..0x1000_0000),
            sources in prop::collection::vec(any::<u32>(), 0..20),
            response in 0u32..128,
            suppress: bool,
            robustness in 0u8..8,
            interval in 0u64..128,
        ) {
            let group = group.map(|low| IpAddr::from(Ipv4Addr::from(0xe000_0000 | low)));
            let sources: Vec<_> = sources.into_iter().map(|bits| Ipv4Addr::from(bits).into()).collect();
            let query = Query {
                version: Version::Igmp3,
                group,
                sources: Sources::none(Family::V4),
                max_response: TENTH * response,
                suppress,
                robustness,
                interval: Duration::from_secs(interval),
            };
            let from = (MacAddr([2, 0, 0, 0, 0, 9]), Ipv4Addr::UNSPECIFIED);
            let bytes = frame(from, &query, &sources);
            let heard = hear(&bytes).unwrap().unwrap();
            prop_assert_eq!((heard.mac, heard.source), (from.0, IpAddr::V4(from.1)));
            let Message::Query(read) = heard.message else { panic!() };
            prop_assert_eq!(read.sources.iter().collect::<Vec<_>>(), sources);
            let read = Query { sources: query.sources, ..read };
            prop_assert_eq!(format!("{read:?}"), format!("{query:?}"));
            let (_, packet) = ethernet::Header::parse(&bytes).unwrap();
            let (ip, _) = ipv4::Header::parse(packet).unwrap();
            let to = group.unwrap_or(ALL_SYSTEMS.into());
            prop_assert_eq!(IpAddr::V4(ip.destination()), to);
            prop_assert_eq!(&bytes[..6], &group_mac(to));
        }
    }
}
