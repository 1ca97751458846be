#![no_main]

#[path = "../decoders.rs"]
#[allow(dead_code)]
mod decoders;

use std::net::{Ipv4Addr, Ipv6Addr};

use ferry::tunnel::Vtep;

libfuzzer_sys::fuzz_target!(|input: (Option<(bool, bool)>, (bool, bool), Vec<u8>)| {
    let (kind, verified, mut packet) = input;
    // The address and port that the input itself names most easily: all zero.
    let plain = Vtep::vxlan(Ipv4Addr::UNSPECIFIED, 0);
    let ipv6 = Some(Ipv6Addr::UNSPECIFIED);
    let vtep = Vtep { ipv6, gre: true, knows_groups: true, ..plain };
    if let Some((over_ipv6, by_udp)) = kind {
        packet = decoders::to_vtep(vtep, over_ipv6, by_udp, &packet);
    }
    decoders::tunnel(&packet, vtep, verified);
});
