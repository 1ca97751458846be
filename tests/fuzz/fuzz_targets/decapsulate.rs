//! A packet from the underlay: whatever it says, the inner frame lies within it.
#![no_main]

use std::net::Ipv4Addr;

use ferry::tunnel::{Outer, Received, Vtep, decapsulate};
use ferry::wire::flow::flow_hash;

libfuzzer_sys::fuzz_target!(|input: (bool, bool, Vec<u8>)| {
    let (ipv4_verified, udp_verified, packet) = input;
    // The address and port that the input itself names most easily: all zero.
    let vtep = Vtep { address: Ipv4Addr::UNSPECIFIED, udp_port: 0 };
    let received = Received { length: packet.len(), ipv4_verified, udp_verified };
    if let Ok(Outer::Tunnel(inner)) = decapsulate(&packet, vtep, received) {
        assert!(inner.offset + 14 <= inner.end && inner.vni < 1 << 24);
        flow_hash(&packet[inner.offset..inner.end]);
    }
});
