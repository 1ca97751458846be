//! Multicast groups of the underlay, as packets name them.

use std::net::IpAddr;

use super::Vtep;
use crate::wire::{ethernet, ipv4, ipv6};

/// The multicast group that an Ethernet frame's IP packet goes to, if it goes to one.
pub fn group_of(frame: &[u8]) -> Option<IpAddr> {
    let (ethernet, packet) = ethernet::Header::parse(frame).ok()?;
    let destination = match ethernet.ethertype.get() {
        ethernet::ethertype::IPV4 => {
            IpAddr::from(ipv4::Header::parse(packet).ok()?.0.destination())
        }
        ethernet::ethertype::IPV6 => {
            IpAddr::from(ipv6::Header::parse(packet).ok()?.0.destination())
        }
        _ => return None,
    };
    destination.is_multicast().then_some(destination)
}

impl Vtep {
    /// The same tunnel end for what comes to a group, which is VXLAN only.
    pub fn at_group(self, group: IpAddr) -> Self {
        let vtep = Self { gre: false, ..self };
        match group {
            IpAddr::V4(address) => Self { address, ..vtep },
            IpAddr::V6(address) => Self { ipv6: Some(address), ..vtep },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_name_a_group_or_none(bytes: Vec<u8>) {
            prop_assert!(group_of(&bytes).is_none_or(|group| group.is_multicast()));
        }
    }

    #[test]
    fn only_multicast_over_ip_names_a_group() {
        let mut frame = [0; 54];
        (frame[12], frame[14]) = (8, 0x45);
        frame[17] = 40;
        frame[30..34].copy_from_slice(&[239, 1, 1, 1]);
        assert_eq!(group_of(&frame), Some("239.1.1.1".parse().unwrap()));
        frame[30] = 192;
        assert_eq!(group_of(&frame), None);
        frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
        frame[38..40].copy_from_slice(&[0xff, 0x0e]);
        assert_eq!(group_of(&frame), Some("ff0e::".parse().unwrap()));
        frame[12] = 0;
        assert_eq!(group_of(&frame), None);
    }
}
