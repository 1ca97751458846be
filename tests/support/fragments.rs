//! IP fragments, built and put together without Ferry's own code.

use super::frames::fix_ip_checksum;

/// Bytes of Ethernet and IP header.
fn headers(packet: &[u8]) -> usize {
    if packet[12..14] == [8, 0] { 34 } else { 54 }
}

/// One fragment of a packet over IPv4 or IPv6: these bytes of what its IP header carries.
pub fn fragment(packet: &[u8], id: u16, bytes: std::ops::Range<usize>, more: bool) -> Vec<u8> {
    let headers = headers(packet);
    let mut frame = packet[..headers].to_vec();
    let offset = (bytes.start as u16).to_be_bytes();
    let payload = &packet[headers..][bytes.clone()];
    if headers == 34 {
        frame[16..18].copy_from_slice(&(payload.len() as u16 + 20).to_be_bytes());
        frame[18..20].copy_from_slice(&id.to_be_bytes());
        let units = (bytes.start / 8) as u16 | if more { 0x2000 } else { 0 };
        frame[20..22].copy_from_slice(&units.to_be_bytes());
        fix_ip_checksum(&mut frame);
    } else {
        frame[18..20].copy_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
        let next = std::mem::replace(&mut frame[20], 44);
        frame.extend([next, 0, offset[0], offset[1] | u8::from(more), 0, 0]);
        frame.extend(id.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// All fragments of a packet, of so many bytes each.
pub fn fragments(packet: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let length = packet.len() - headers(packet);
    let cut = |start: usize| {
        let end = length.min(start + size);
        fragment(packet, id, start..end, end < length)
    };
    (0..length).step_by(size).map(cut).collect()
}

/// Whether a packet is a fragment.
pub fn is_fragment(packet: &[u8]) -> bool {
    match packet[12..14] {
        [8, 0] => packet[20] & 0x3f != 0 || packet[21] != 0,
        _ => packet[20] == 44,
    }
}

/// The packet that fragments are of, which come in their order; and its identification.
pub fn whole(fragments: &[Vec<u8>]) -> (Vec<u8>, u32) {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let first = &fragments[0];
    let headers = headers(first);
    let mut packet = first[..headers].to_vec();
    let behind = if headers == 34 { 34 } else { 62 };
    for fragment in fragments {
        assert_eq!(fragment[..14], first[..14], "the Ethernet header");
        let (start, more, id) = if headers == 34 {
            assert_eq!(fragment[20] & 0x40, 0, "don't fragment");
            assert_eq!(fragment[18..20], first[18..20], "identification");
            assert_eq!(number(&fragment[16..18]) as usize, fragment.len() - 14);
            let mut right = fragment.clone();
            fix_ip_checksum(&mut right);
            assert_eq!(*fragment, right, "IP checksum");
            let units = number(&fragment[20..22]);
            ((units & 0x1fff) * 8, units & 0x2000 != 0, number(&fragment[18..20]))
        } else {
            assert_eq!(number(&fragment[18..20]) as usize, fragment.len() - 54);
            let units = number(&fragment[56..58]);
            (units & !7, units & 1 != 0, number(&fragment[58..62]))
        };
        assert_ne!(id, 0);
        assert_eq!(start as usize, packet.len() - headers, "offset");
        assert_eq!(more, !std::ptr::eq(fragment, &fragments[fragments.len() - 1]));
        packet.extend(&fragment[behind..]);
    }
    let length = packet.len() - 14;
    if headers == 34 {
        let id = number(&packet[18..20]);
        packet[16..18].copy_from_slice(&(length as u16).to_be_bytes());
        packet[18..22].copy_from_slice(&[0, 0, 0x40, 0]);
        fix_ip_checksum(&mut packet);
        (packet, id)
    } else {
        packet[18..20].copy_from_slice(&(length as u16 - 40).to_be_bytes());
        packet[20] = first[54];
        (packet, number(&first[58..62]))
    }
}
