//! VXLAN over IPv6.

use super::*;

#[test]
fn ipv6_faults_have_their_reasons() {
    let with = |checksum, at: usize, bytes: &[u8]| {
        let checksum = if checksum { UdpChecksum::On } else { UdpChecksum::Off };
        let encap = Encap::Vxlan { udp_port: 4789, checksum, group_policy: false };
        let mut packet = packet_of(&outer(true, encap, None), VNI, &[7; 60]);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        decide(&packet)
    };
    assert_eq!(with(false, 0, &[]), Err(DropReason::UdpZeroChecksum));
    assert!(matches!(with(true, 0, &[]), Ok(Outer::Tunnel(_))));
    assert_eq!(with(true, 100, &[9]), Err(DropReason::UdpChecksum));
    assert_eq!(with(true, 14, &[0x50]), Err(DropReason::Ipv6Header));
    assert_eq!(with(true, 18, &[1, 0]), Err(DropReason::Ipv6Header));
    assert_eq!(with(true, 53, &[9]), Ok(Outer::Punt), "another's address");
    assert_eq!(with(true, 20, &[58]), Ok(Outer::Punt), "ICMPv6");
    assert_eq!(with(true, 56, &[1, 2]), Ok(Outer::Punt), "another UDP port");
    let mut fragment = packet_of(&outer(true, Encap::vxlan(4789), None), VNI, &[7; 60]);
    fragment.splice(54..54, [17, 0, 0, 1, 0, 0, 0, 9]);
    fragment[20] = 44;
    fragment[19] += 8;
    assert_eq!(decide(&fragment), Err(DropReason::Fragment));
    fragment[57] = 9;
    assert_eq!(decide(&fragment), Ok(Outer::Punt), "a later fragment");
    let no_ipv6 = Vtep { ipv6: None, ..VTEP };
    assert_eq!(decide_as(&fragment, &no_ipv6, false), Ok(Outer::Punt));
}
