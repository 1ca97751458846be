//! VXLAN over IPv6, whose header has all fields at known places.

use super::{AnyTemplate, BACK, FRONT, Variable, put, put_word};
use crate::tunnel::SummedBy;
use crate::wire::{ethernet, ipv6, udp, vxlan};

/// An [`AnyTemplate`] of VXLAN over IPv6 with the usual traffic class and time to live.
#[derive(Clone, Copy)]
pub struct PlainIpv6Template<'t>(&'t AnyTemplate);

impl<'t> PlainIpv6Template<'t> {
    #[inline(always)]
    pub(super) fn new(template: &'t AnyTemplate) -> Self {
        Self(template)
    }

    /// Whether the device must complete the UDP checksum.
    #[inline(always)]
    pub fn leaves_checksum(self) -> bool {
        self.0.summed_by == SummedBy::Device
    }

    /// What one packet's UDP checksum field has. `inner_sum` is the one's-complement sum of the inner frame, and only asked for
    /// where a worker computes the checksum.
    #[inline(always)]
    pub fn checksum(self, packet: Variable, inner_sum: impl FnOnce() -> u16) -> u16 {
        let Self(template) = self;
        match template.summed_by {
            SummedBy::Nobody => 0,
            SummedBy::Worker => {
                let id = template.id_of(packet) << 8;
                template.udp_checksum(packet.entropy_port, datagram(packet), id, inner_sum())
            }
            SummedBy::Device => template.pseudo_header_sum(datagram(packet)),
        }
    }

    /// Writes the header of one packet, with what [`PlainIpv6Template::checksum`] says.
    #[inline(always)]
    pub fn write(self, to: &mut [u8; AnyTemplate::LONGEST], packet: Variable, checksum: u16) {
        const UDP: usize = ethernet::LENGTH + ipv6::LENGTH;
        const VNI: usize = AnyTemplate::LONGEST - 4;
        let Self(template) = self;
        to[..FRONT].copy_from_slice(&template.front);
        to[AnyTemplate::LONGEST - BACK..].copy_from_slice(&template.back);
        let port = packet.entropy_port;
        let datagram = datagram(packet);
        put(to, 16, port);
        put(to, 18, datagram);
        put(to, UDP, port);
        put(to, UDP + 4, datagram);
        put(to, UDP + 6, checksum);
        put_word(to, VNI, template.id_of(packet) << 8);
        let copied = packet.traffic_class & template.copied;
        if copied != 0 {
            to[14] |= copied >> 4;
            to[15] |= copied << 4;
        }
    }
}

/// Bytes of the UDP datagram.
#[inline(always)]
fn datagram(packet: Variable) -> u16 {
    packet.inner + (udp::LENGTH + vxlan::LENGTH) as u16
}

#[cfg(test)]
mod tests {
    use super::super::tests::{outer, variable};
    use super::*;
    use crate::tunnel::{Encap, OuterHeader, UdpChecksum};

    #[test]
    fn the_short_way_over_ipv6_says_the_same_as_the_long_way() {
        for case in 0..24 {
            let checksum = if case % 2 == 0 { UdpChecksum::Off } else { UdpChecksum::On };
            let (offloads, id) = (case & 2 != 0, (case & 4 != 0).then_some(0x00_1234));
            let traffic_class = [0, 0x03, 0xff][case / 8];
            let encap = Encap::Vxlan { udp_port: 8472, checksum, group_policy: false };
            let short = AnyTemplate::new(&OuterHeader { offloads, ..outer(true, encap, id) }, None);
            assert!(short.is_plain_ipv6);
            let long = AnyTemplate { is_plain_ipv6: false, ..short.clone() };
            let variable = Variable { traffic_class, ..variable(1400, 0x01_0203) };
            let headers = [short, long].map(|template| {
                let mut header = [0xff; AnyTemplate::LONGEST];
                assert!(template.write(&mut header, variable, 0xbeef));
                header
            });
            assert_eq!(headers[0], headers[1], "{checksum:?} {offloads} {id:?} {traffic_class}");
        }
    }
}
