//! A packet from the underlay: whatever it says, the inner frame lies within it.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use ferry::tunnel::{Outer, Received, Vtep, decapsulate, group_of};
use ferry::wire::flow::flow_hash;

libfuzzer_sys::fuzz_target!(|input: (bool, bool, Vec<u8>)| {
    let (ipv4_verified, udp_verified, packet) = input;
    // The address and port that the input itself names most easily: all zero.
    let vtep = Vtep {
        ipv6: Some(Ipv6Addr::UNSPECIFIED),
        gre: true,
        ..Vtep::vxlan(Ipv4Addr::UNSPECIFIED, 0)
    };
    let received = Received { length: packet.len(), ipv4_verified, udp_verified };
    let vtep = match group_of(&packet) {
        Some(group) => vtep.at_group(group),
        None => vtep,
    };
    let (offset, end) = match decapsulate(&packet, vtep, received) {
        Ok(Outer::Tunnel(inner)) => (inner.offset, inner.end),
        Ok(Outer::AnyTunnel(inner)) => (inner.offset, inner.end),
        _ => return,
    };
    assert!(offset + 14 <= end);
    flow_hash(&packet[offset..end]);
});
