//! VXLAN over IPv6, whose header has all fields at known places.

use super::{AnyTemplate, BACK, FRONT, Variable, put, put_word};
use crate::tunnel::SummedBy;
use crate::wire::checksum::Sum;
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

    /// Whether [`PlainIpv6Template::write`] needs the inner frame's sum.
    #[inline(always)]
    pub fn sums(self) -> bool {
        self.0.summed_by == SummedBy::Worker
    }

    /// Writes the header of one packet. `inner_sum` is that of the inner frame, where [`PlainIpv6Template::sums`] asks for it.
    #[inline(always)]
    pub fn write(self, to: &mut [u8; AnyTemplate::LONGEST], packet: Variable, inner_sum: Sum) {
        const UDP: usize = ethernet::LENGTH + ipv6::LENGTH;
        const VNI: usize = AnyTemplate::LONGEST - 4;
        let Self(template) = self;
        let port = packet.entropy_port;
        let datagram = packet.inner + (udp::LENGTH + vxlan::LENGTH) as u16;
        let id = template.id_of(packet) << 8;
        let checksum = match template.summed_by {
            SummedBy::Nobody => 0,
            SummedBy::Worker => template.udp_checksum(port, datagram, id, inner_sum),
            SummedBy::Device => template.pseudo_header_sum(datagram),
        };
        to[..FRONT].copy_from_slice(&template.front);
        to[AnyTemplate::LONGEST - BACK..].copy_from_slice(&template.back);
        put(to, 16, port);
        put(to, 18, datagram);
        put(to, UDP, port);
        put(to, UDP + 4, datagram);
        put(to, UDP + 6, checksum);
        put_word(to, VNI, id);
        let copied = packet.traffic_class & template.copied;
        if copied != 0 {
            to[14] |= copied >> 4;
            to[15] |= copied << 4;
        }
    }
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
                assert!(template.write(&mut header, variable, 0xbeef_u16.into()));
                header
            });
            assert_eq!(headers[0], headers[1], "{checksum:?} {offloads} {id:?} {traffic_class}");
        }
    }
}
