use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::too_big::*;
use crate::wire::{checksum, ethernet, icmp, ipv4, ipv6};

/// 10.0.0.1 → 10.0.0.9, don't fragment, UDP, so many bytes from the IP header on.
fn v4(length: usize) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x09\x02\0\0\0\0\x01\x08\0\x45\0".to_vec();
    frame.extend((length as u16).to_be_bytes());
    frame.extend(b"\x12\x34\x40\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x09");
    frame.extend((34..14 + length).map(|at| at as u8));
    sound(frame)
}

/// fd00::1 → fd00::9, UDP, so many bytes from the IP header on.
fn v6(length: usize) -> Vec<u8> {
    let mut frame = b"\x02\0\0\0\0\x09\x02\0\0\0\0\x01\x86\xdd\x60\0\0\0".to_vec();
    frame.extend((length as u16 - 40).to_be_bytes());
    frame.extend(b"\x11\x40");
    for last in [1, 9] {
        frame.extend(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).octets());
    }
    frame.extend((54..14 + length).map(|at| at as u8));
    frame
}

/// With a right IPv4 header checksum.
fn sound(mut frame: Vec<u8>) -> Vec<u8> {
    let end = 14 + usize::from(frame[14] & 15) * 4;
    frame[24..26].fill(0);
    let sum = checksum::compute(&frame[14..end]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

fn answer(frame: &[u8], limit: u16, gateways: Gateways) -> Option<Vec<u8>> {
    Some(Excess::of(frame, frame.len(), limit)?.answer(&gateways)?.to_vec())
}

fn is_answered(frame: &[u8]) -> bool {
    answer(frame, 1464, Gateways::default()).is_some()
}

#[test]
fn an_ipv4_packet_that_must_stay_whole_is_answered_with_what_fits() {
    let frame = v4(1451);
    let answer = answer(&frame, 1464, Gateways::default()).unwrap();
    let (link, packet) = ethernet::Header::parse(&answer).unwrap();
    assert_eq!((link.destination.0, link.source.0), ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 9]));
    assert!(checksum::verify(&packet[..20]));
    let (ip, message) = ipv4::Header::parse(packet).unwrap();
    assert_eq!((ip.total_length(), ip.protocol, ip.traffic_class), (576, icmp::PROTOCOL, 0xc0));
    assert_eq!(ip.source(), Ipv4Addr::new(10, 0, 0, 9), "from the packet's destination");
    assert_eq!(ip.destination(), Ipv4Addr::new(10, 0, 0, 1));
    assert!(checksum::verify(message));
    let (header, quoted) = icmp::Header::parse(message).unwrap();
    assert_eq!(header.mtu_v4(), Some(1450));
    assert_eq!(quoted, &frame[14..14 + 548]);
    assert_eq!(self::answer(&v4(1450), 1464, Gateways::default()), None, "it fits");
}

#[test]
fn an_ipv6_packet_is_answered_with_what_fits_but_never_with_less_than_1280() {
    let frame = v6(1500);
    let answer = |limit| answer(&frame, limit, Gateways::default()).unwrap();
    for (limit, mtu) in [(1444, 1430), (1294, 1280), (1293, 1280), (600, 1280), (0, 1280)] {
        let answer = answer(limit);
        let (_, packet) = ethernet::Header::parse(&answer).unwrap();
        let (ip, message) = ipv6::Header::parse(packet).unwrap();
        assert_eq!((packet.len(), ip.payload_length(), ip.next_header), (1280, 1240, ipv6::ICMPV6));
        let (from, to) = (ip.source(), ip.destination());
        assert_eq!((from.segments()[7], to.segments()[7]), (9, 1));
        assert!(checksum::verify_icmpv6(from, to, message));
        let (header, quoted) = icmp::Header::parse(message).unwrap();
        assert_eq!((header.mtu_v6(), quoted), (Some(mtu), &frame[14..14 + 1232]));
    }
    assert!(!is_answered(&v6(1280)), "no sender needs to send less");
    assert_eq!(Excess::of(&v6(1280), 1294, 1000), None);
}

#[test]
fn answers_come_from_the_gateway_but_not_to_itself() {
    let gateways = |v4: [u8; 4], last| Gateways {
        ipv4: Some(v4.into()),
        ipv6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)),
    };
    for (gateways, from) in [(gateways([10, 0, 0, 254], 254), 254), (gateways([10, 0, 0, 1], 1), 9)]
    {
        let v4 = answer(&v4(1500), 1464, gateways).unwrap();
        assert_eq!((v4[29], v4[33]), (from, 1));
        let v6 = answer(&v6(1500), 1464, gateways).unwrap();
        assert_eq!((v6[37], v6[53]), (from, 1));
        let (_, packet) = ethernet::Header::parse(&v6).unwrap();
        let (ip, message) = ipv6::Header::parse(packet).unwrap();
        assert!(checksum::verify_icmpv6(ip.source(), ip.destination(), message));
    }
}

#[test]
fn inner_tags_come_back_and_count() {
    let tag = |mut frame: Vec<u8>, tag: [u8; 4]| {
        frame.splice(12..12, tag);
        frame
    };
    let frame = tag(tag(v4(1447), [0x81, 0, 0, 7]), [0x88, 0xa8, 0x20, 9]);
    let answer = answer(&frame, 1464, Gateways::default()).unwrap();
    assert_eq!(answer[12..22], frame[12..22]);
    assert_eq!(answer[22..][26..28], 1442u16.to_be_bytes(), "of 1464 bytes 22 are the link's");
    let thrice = tag(frame, [0x81, 0, 0, 1]);
    assert!(!is_answered(&thrice));
}

#[test]
fn who_must_not_be_told_is_not() {
    let (v4, v6) = (v4(1500), v6(1500));
    assert!(is_answered(&v4) && is_answered(&v6));
    let never = |what: &str, frame: Vec<u8>| assert!(!is_answered(&frame), "{what}");
    let changed = |at, bytes: &[u8]| sound(with(v4.clone(), at, bytes));
    never("it may be fragmented", changed(20, &[0, 0]));
    never("a later fragment", changed(20, &[0x40, 1]));
    never("a broadcast on the link", with(v4.clone(), 0, &[0xff; 6]));
    never("multicast on the link", with(v6.clone(), 0, &[0x33, 0x33, 0, 0, 0, 1]));
    for address in [[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [240, 0, 0, 1]] {
        never("from no station", changed(26, &address));
        never("to no station", changed(30, &address));
    }
    never("to itself", changed(30, &v4[26..30]));
    never("damaged", with(v4.clone(), 24, &[0, 0]));
    never("longer than the frame", changed(16, &[0xff, 0xff]));
    never("ARP", with(v4.clone(), 12, &[8, 6]));
    for kind in 0..=255 {
        let ping = changed(23, &[1]);
        let told = is_answered(&with(ping, 34, &[kind]));
        assert_eq!(told, !matches!(kind, 3 | 4 | 5 | 11 | 12), "ICMP {kind}");
        let ping = with(v6.clone(), 20, &[58]);
        assert_eq!(is_answered(&with(ping, 54, &[kind])), kind >= 128 && kind != 137, "{kind}");
    }
    let first = sound(with(with(v4.clone(), 20, &[0x60, 0]), 23, &[17]));
    assert!(is_answered(&first), "a first fragment");
    let fragment = |offset: u16| {
        let offset = offset.to_be_bytes();
        with(with(v6.clone(), 20, &[44]), 54, &[17, 0, offset[0], offset[1]])
    };
    assert!(is_answered(&fragment(1)));
    never("a later fragment", fragment(0x100));
    for address in ["::", "::1", "ff02::1", "::ffff:10.0.0.1"] {
        let address = address.parse::<Ipv6Addr>().unwrap().octets();
        never("from no station", with(v6.clone(), 22, &address));
        never("to no station", with(v6.clone(), 38, &address));
    }
    assert_eq!(Excess::of(&v4, v4.len(), 81), None, "a link that IPv4 cannot use");
    assert!(Excess::of(&v4, v4.len(), 82).is_some());
}

#[test]
fn of_a_chain_the_first_bytes_do_and_padding_is_not_quoted() {
    let whole = v4(9000);
    let excess = Excess::of(&whole[..70], whole.len(), 1464).unwrap();
    let answer = excess.answer(&Gateways::default()).unwrap();
    assert_eq!(answer.len(), 14 + 28 + 56);
    assert_eq!(Excess::of(&whole[..41], whole.len(), 1464), None, "less than eight bytes of UDP");
    let mut padded = v4(90);
    padded.resize(200, 0);
    let answer = self::answer(&padded, 90, Gateways::default()).unwrap();
    assert_eq!(answer.len(), 14 + 28 + 90);
    assert_eq!(self::answer(&padded, 104, Gateways::default()), None, "but for padding it fits");
}

proptest! {
    #[test]
    fn no_frame_makes_it_panic_and_no_answer_is_answered(
        kind in 0..3usize,
        flips in prop::collection::vec((0..80usize, any::<u8>()), 0..6),
        length in 1000..1600usize,
        cut in 0..1600usize,
        limit: u16,
    ) {
        let mut frame = [v4(length), v6(length), vec![0x81; length]][kind].clone();
        for (at, byte) in flips {
            frame[at] = byte;
        }
        let frame = &frame[..cut.min(frame.len())];
        if let Some(answer) = answer(frame, limit, Gateways::default()) {
            prop_assert!(answer.len() <= 1302);
            prop_assert_eq!(Excess::of(&answer, answer.len(), 0), None);
        }
    }
}
