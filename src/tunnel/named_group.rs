//! The group that the sender of a frame is of, in a VXLAN header that tells it (draft-smith-vxlan-group-policy).

use super::AnyTemplate;
use crate::wire::{checksum, udp, vxlan};

impl AnyTemplate {
    /// Has a VXLAN header that this wrote name a group.
    pub fn name_group(&self, header: &mut [u8], group: u16) {
        let Some(header) = header.last_chunk_mut::<{ udp::LENGTH + vxlan::LENGTH }>() else {
            return;
        };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (sum, flags) = (word(6), word(8));
        let flagged = flags | u16::from(vxlan::Header::G_FLAG) << 8;
        let mut put =
            |at: usize, word: u16| header[at..at + 2].copy_from_slice(&word.to_be_bytes());
        put(8, flagged);
        put(10, group);
        // Else there is none, or the device computes it of what is there.
        if self.sums() {
            let sum = checksum::update(checksum::update(sum, flags, flagged), 0, group);
            put(6, if sum == 0 { 0xffff } else { sum });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::tunnel::any_template::tests::outer;
    use crate::tunnel::{Encap, Template, UdpChecksum, Variable};

    #[test]
    fn a_group_is_named_and_the_checksum_still_right() {
        for (case, group) in (0..8).zip([1, 100, 0x7800, 0xffff].into_iter().cycle()) {
            let checksum = if case < 4 { UdpChecksum::Off } else { UdpChecksum::On };
            for v6 in [false, true] {
                let encap = Encap::Vxlan { udp_port: 4789, checksum, group_policy: true };
                let outer = outer(v6, encap, None);
                assert!(Template::new(&outer).is_none(), "no template names groups");
                let template = AnyTemplate::new(&outer, None);
                let inner = [7; 61];
                let packet =
                    Variable { inner: 61, id: 5, entropy_port: 50_000, ..Variable::default() };
                let mut bytes = vec![0xff; template.length()];
                assert!(template.write(&mut bytes, packet, checksum::Sum::of(&inner)));
                template.name_group(&mut bytes, group);
                let header = vxlan::Header::new(5).of_group(group);
                let at = template.length() - vxlan::LENGTH;
                assert_eq!(bytes[at..], *zerocopy::IntoBytes::as_bytes(&header));
                bytes.extend(inner);
                let datagram = &bytes[at - udp::LENGTH..];
                assert!(match (outer.source, outer.destination) {
                    _ if case < 4 => datagram[6..8] == [0, 0],
                    (IpAddr::V4(from), IpAddr::V4(to)) => {
                        checksum::verify_udp_v4(from, to, datagram)
                    }
                    (IpAddr::V6(from), IpAddr::V6(to)) => {
                        checksum::verify_udp_v6(from, to, datagram)
                    }
                    _ => false,
                });
            }
        }
    }
}
