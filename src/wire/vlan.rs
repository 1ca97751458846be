//! What tells a network at a port: the VLAN tags of its frames.

use std::fmt;

use super::ethernet::{LENGTH, Tag, ethertype};

/// A VLAN of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vlan {
    /// One tag (IEEE 802.1Q) with this ID.
    Single(u16),
    /// Two tags (QinQ); the EtherType of the inner one is always [`ethertype::VLAN`].
    Pair {
        /// EtherType of the outer tag: [`ethertype::SERVICE_VLAN`] (IEEE 802.1ad) or [`ethertype::VLAN`].
        tpid: u16,
        /// Its ID.
        outer: u16,
        /// The inner tag's ID.
        inner: u16,
    },
}

impl Vlan {
    /// The pair of tags that a frame begins with, if it does.
    #[inline]
    pub fn pair_of(frame: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH + 2 * size_of::<Tag>()] = frame.first_chunk()?;
        let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let tpid = number(12);
        let is_pair = matches!(tpid, ethertype::VLAN | ethertype::SERVICE_VLAN)
            && number(16) == ethertype::VLAN;
        let (outer, inner) = (number(14) & 0x0fff, number(18) & 0x0fff);
        is_pair.then_some(Self::Pair { tpid, outer, inner })
    }

    /// The ID of the outermost tag, and that of the one behind it.
    pub fn ids(self) -> (u16, Option<u16>) {
        match self {
            Self::Single(id) => (id, None),
            Self::Pair { outer, inner, .. } => (outer, Some(inner)),
        }
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ids() {
            (id, None) => write!(f, "{id}"),
            (outer, Some(inner)) => write!(f, "{outer}.{inner}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_two_tags_and_nothing_less() {
        let frame = |tags: [u8; 8]| [&[2; 12], &tags[..], &[8, 0]].concat();
        let pair = |tpid| Some(Vlan::Pair { tpid, outer: 0x123, inner: 0xfff });
        let right = frame([0x88, 0xa8, 0xf1, 0x23, 0x81, 0, 0x2f, 0xff]);
        assert_eq!(Vlan::pair_of(&right), pair(0x88a8));
        assert_eq!(Vlan::pair_of(&frame([0x81, 0, 1, 0x23, 0x81, 0, 0xf, 0xff])), pair(0x8100));
        assert_eq!(Vlan::pair_of(&frame([0x81, 0, 1, 0x23, 8, 0, 0xf, 0xff])), None);
        assert_eq!(Vlan::pair_of(&frame([8, 0, 1, 0x23, 0x81, 0, 0xf, 0xff])), None);
        assert_eq!(Vlan::pair_of(&frame([0x81, 0, 1, 0x23, 0x88, 0xa8, 0xf, 0xff])), None);
        assert_eq!((0..22).find(|end| Vlan::pair_of(&right[..*end]).is_some()), None);
    }
}
