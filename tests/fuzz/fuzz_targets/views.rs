//! Every view of every suffix: a parser answers or says why not, and takes no more than there is.
#![no_main]

use ferry::wire::{arp, checksum, ethernet, flow, gre, ipv4, ipv6, multicast, udp, vxlan};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for start in 0..bytes.len().min(64) {
        let bytes = &bytes[start..];
        multicast::group(bytes);
        let rest = [
            ethernet::Header::parse(bytes).map(|(_, rest)| rest.len()),
            ethernet::Tag::parse(bytes).map(|(_, rest)| rest.len()),
            arp::Packet::parse(bytes).map(|(_, rest)| rest.len()),
            ipv4::Header::parse(bytes).map(|(_, rest)| rest.len()),
            ipv6::Header::parse(bytes).map(|(_, rest)| rest.len()),
            udp::Header::parse(bytes).map(|(_, rest)| rest.len()),
            vxlan::Header::parse(bytes).map(|(_, rest)| rest.len()),
            gre::Header::parse(bytes).map(|(_, rest)| rest.len()),
        ];
        assert!(rest.into_iter().flatten().all(|rest| rest < bytes.len()));
        if let Ok((header, rest)) = gre::Header::parse(bytes)
            && let Ok(options) = header.options(rest)
        {
            assert!(options.length <= bytes.len());
        }
        flow::flow_hash(bytes);
        checksum::sum(bytes);
    }
});
