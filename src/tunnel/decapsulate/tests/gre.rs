//! NVGRE and GRE.

use super::*;
use crate::wire::checksum;

#[test]
fn gre_faults_have_their_reasons() {
    const GRE: usize = 34;
    let with = |checksum, at: usize, bytes: &[u8]| {
        let encap = Encap::Gre { key: true, checksum, sequence: Sequence::Off };
        let mut packet = packet_of(&outer(false, encap, None), VNI, &[7; 60]);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        decide(&packet)
    };
    assert!(matches!(with(true, 0, &[]), Ok(Outer::Tunnel(_))));
    assert_eq!(with(true, 80, &[9]), Err(DropReason::GreChecksum));
    assert_eq!(with(false, GRE + 1, &[1]), Err(DropReason::GreFlags), "version 1");
    assert_eq!(with(false, GRE, &[0x60]), Err(DropReason::GreFlags), "RFC 1701's routing");
    assert_eq!(with(false, GRE + 2, &[8, 0]), Ok(Outer::Punt), "IPv4 in GRE");
    let mut fragment = packet_of(&outer(false, Encap::Nvgre { flow_id: true }, None), 7, &[7; 60]);
    fragment[IP + 6] = 0x20;
    fragment[IP + 10..IP + 12].fill(0);
    let sum = checksum::compute(&fragment[IP..GRE]);
    fragment[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(decide(&fragment), Err(DropReason::Fragment));
    let packet = packet_of(&outer(false, Encap::Nvgre { flow_id: true }, None), 7, &[7; 13]);
    assert_eq!(decide(&packet), Err(DropReason::InnerTruncated));
    let packet = packet_of(&outer(false, Encap::Nvgre { flow_id: true }, None), 7, &[7; 60]);
    let none = decide_as(&packet, &Vtep { gre: false, ..VTEP }, false);
    assert_eq!(none, Ok(Outer::Punt), "without GRE in the configuration it is the kernel's");
}
