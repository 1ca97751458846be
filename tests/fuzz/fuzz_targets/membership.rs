//! IGMP and MLD: whatever a message says, all of its records lie within it.
#![no_main]

use std::net::Ipv6Addr;

use ferry::wire::checksum;
use ferry::wire::membership::{Heard, Message, concerns, hear};

libfuzzer_sys::fuzz_target!(|input: (bool, Vec<u8>)| {
    let (v6, mut message) = input;
    message.truncate(9000);
    let _ = hear(&message);
    if message.len() < 4 {
        return;
    }
    // Checksums are right, or nothing else would be looked at.
    message[2..4].fill(0);
    let mut frame = vec![if v6 { 0x33 } else { 1 }; 12];
    if v6 {
        let address = |last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
        let sum = checksum::compute_icmpv6(address(1), address(2), &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((8 + message.len() as u16).to_be_bytes());
        frame.extend([0, 1]);
        frame.extend(address(1).octets());
        frame.extend(address(2).octets());
        frame.extend([58, 0, 5, 2, 0, 0, 1, 0]);
    } else {
        let sum = checksum::compute(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let [high, low] = (20 + message.len() as u16).to_be_bytes();
        let mut ip = [0x45, 0, high, low, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 1, 224, 0, 0, 1];
        let sum = checksum::compute(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend([8, 0]);
        frame.extend(ip);
    }
    frame.extend(&message);
    let Ok(Some(Heard { message: said, .. })) = hear(&frame) else { return };
    assert!(concerns(&frame));
    match said {
        Message::Records(records) => {
            let sources = records.map(|record| record.sources.iter().count());
            assert!(sources.sum::<usize>() * 4 <= message.len());
        }
        Message::Query(query) => assert!(query.sources.iter().count() * 4 <= message.len()),
        _ => {}
    }
});
