//! VXLAN over IPv4.

use super::*;
use crate::wire::checksum;

const UDP: usize = 34;
const VXLAN: usize = 42;
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A tunnel packet around `inner` bytes.
fn packet(inner: usize) -> Vec<u8> {
    packet_of(&outer(false, Encap::vxlan(4789), None), VNI, &vec![0x5a; inner])
}

/// The verdict on a packet with some bytes replaced and its IPv4 checksum made right.
fn changed(inner: usize, at: usize, bytes: &[u8]) -> Result<Outer, DropReason> {
    let mut packet = packet(inner);
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    let end = (IP + usize::from(packet[IP] & 15) * 4).clamp(IP + 20, packet.len());
    packet[IP + 10..IP + 12].fill(0);
    let sum = checksum::compute(&packet[IP..end]);
    packet[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    decide(&packet)
}

fn tunnel(offset: usize, end: usize) -> Result<Outer, DropReason> {
    Ok(Outer::Tunnel(Inner::new(PEER.into(), Label::Vxlan(VNI), offset, end)))
}

#[test]
fn what_encapsulation_writes_is_taken_apart() {
    assert_eq!(decide(&packet(60)), tunnel(50, 110));
    let mut padded = packet(20);
    padded.extend([0; 9]);
    assert_eq!(decide(&padded), tunnel(50, 70), "Ethernet padding is no part of the inner frame");
}

#[test]
fn each_fault_has_its_reason() {
    assert_eq!(changed(60, IP, &[0x65]), Err(DropReason::Ipv4Header));
    assert_eq!(changed(60, IP, &[0x44]), Err(DropReason::Ipv4Header));
    assert_eq!(changed(60, IP + 2, &[0xff, 0xff]), Err(DropReason::Ipv4Header));
    assert_eq!(changed(60, IP + 6, &[0x20]), Err(DropReason::Fragment));
    assert_eq!(changed(60, UDP + 4, &[0, 7]), Err(DropReason::UdpLength));
    assert_eq!(changed(60, UDP + 4, &[0xff, 0]), Err(DropReason::UdpLength));
    assert_eq!(changed(60, UDP + 4, &[0, 15]), Err(DropReason::TruncatedVxlan));
    assert_eq!(changed(60, UDP + 4, &[0, 29]), Err(DropReason::InnerTruncated));
    assert_eq!(changed(60, UDP + 6, &[1, 2]), Err(DropReason::UdpChecksum));
    assert_eq!(changed(60, VXLAN, &[0xf7]), Err(DropReason::VxlanFlags));
    let mut packet = packet(60);
    packet[IP + 10] ^= 1;
    assert_eq!(decide(&packet), Err(DropReason::Ipv4Checksum));
}

#[test]
fn what_is_not_ours_goes_to_the_kernel() {
    assert_eq!(changed(60, 12, &[0x88, 0xcc]), Ok(Outer::Punt));
    assert_eq!(changed(60, IP + 9, &[1]), Ok(Outer::Punt));
    assert_eq!(changed(60, IP + 16, &[192, 0, 2, 9]), Ok(Outer::Punt));
    assert_eq!(changed(60, IP + 7, &[5]), Ok(Outer::Punt));
    assert_eq!(changed(60, UDP + 2, &[0x21, 0x18]), Ok(Outer::Punt), "port 8472");
}

#[test]
fn options_ttl_source_port_and_reserved_bits_do_not_matter() {
    assert_eq!(changed(60, IP + 8, &[1]), tunnel(50, 110));
    assert_eq!(changed(60, UDP, &[0, 1]), tunnel(50, 110));
    for reserved in [VXLAN + 1, VXLAN + 2, VXLAN + 3, VXLAN + 7] {
        assert_eq!(changed(60, reserved, &[0xff]), tunnel(50, 110));
    }
    let mut options = packet(60);
    options.splice(UDP..UDP, [1, 1, 1, 0]);
    options[IP] = 0x46;
    options[IP + 3] += 4;
    options[IP + 10..IP + 12].fill(0);
    let sum = checksum::compute(&options[IP..UDP + 4]);
    options[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(decide(&options), tunnel(54, 114));
}

#[test]
fn a_right_udp_checksum_is_accepted() {
    let mut packet = packet(61);
    let sum = checksum::compute_udp_v4(PEER, VTEP.address, &packet[UDP..]);
    packet[UDP + 6..UDP + 8].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(decide(&packet), tunnel(50, 111));
}

#[test]
fn gpe_and_reserved_bits() {
    assert_eq!(changed(60, VXLAN, &[0x0c, 0, 0, 1]), Err(DropReason::VxlanGpe));
    assert_eq!(changed(60, VXLAN, &[0x0c, 0, 0, 3]), tunnel(50, 110), "GPE with Ethernet");
    let strict = Vtep { drops_reserved_bits: true, ..VTEP };
    for bit in (0..32).chain(56..64).filter(|bit| *bit != 4) {
        let mut packet = packet(60);
        packet[VXLAN + bit / 8] |= 0x80 >> (bit % 8);
        let found = decide_as(&packet, &strict, false);
        assert_eq!(found, Err(DropReason::VxlanReserved), "bit {bit}");
    }
    assert_eq!(decide_as(&packet(60), &strict, false), tunnel(50, 110));
}

#[test]
fn group_policy_is_told_where_it_is_known() {
    let known = Vtep { knows_groups: true, ..VTEP };
    let strict = Vtep { drops_reserved_bits: true, ..known };
    for outer in [outer(false, Encap::vxlan(4789), None), outer(true, Encap::vxlan(4789), None)] {
        let checksum = if outer.source.is_ipv6() { UdpChecksum::Off } else { UdpChecksum::Auto };
        let encap = Encap::Vxlan { udp_port: 4789, checksum, group_policy: false };
        let outer = OuterHeader { encap, ..outer };
        let at = outer.length() - 8;
        let decide_as = |vtep: Vtep, bytes: &[u8; 4]| {
            let mut packet = packet_of(&outer, VNI, &[7; 60]);
            packet[at..at + 4].copy_from_slice(bytes);
            super::decide_as(&packet, &Vtep { zero_checksum: true, ..vtep }, false)
        };
        let inner = Inner::new(outer.source, Label::Vxlan(VNI), at + 8, at + 68);
        let policy = GroupPolicy { group: 0x1234, dont_learn: true, applied: false };
        let told = [0x88, 0x40, 0x12, 0x34];
        for vtep in [known, strict] {
            assert_eq!(decide_as(vtep, &told), Ok(Outer::Grouped(inner, policy)));
            let mut packet = packet_of(&outer, VNI, &[7; 60]);
            packet[at..at + 4].copy_from_slice(&told);
            let (ipv4_verified, udp_verified) = (false, false);
            let received = Received { length: packet.len(), ipv4_verified, udp_verified };
            let is_known = shape::grouped(&packet, &vtep, received).is_some();
            assert_eq!(is_known, outer.source.is_ipv4(), "it has a short way over IPv4");
            assert_eq!(decide_as(vtep, &[8, 0, 0, 0]), Ok(Outer::Tunnel(inner)));
        }
        assert_eq!(decide_as(VTEP, &told), Ok(Outer::Tunnel(inner)), "reserved bits, ignored");
        let unknown = Vtep { knows_groups: false, ..strict };
        for (vtep, bytes) in [(unknown, told), (strict, [8, 0x40, 0, 0]), (strict, [8, 0, 0, 1])] {
            assert_eq!(decide_as(vtep, &bytes), Err(DropReason::VxlanReserved), "{bytes:?}");
        }
    }
}
