//! The key and the value of the MAC FIB, one 64-bit word each.

use std::num::NonZeroU64;

/// The low 48 bits of a word.
const MAC_MASK: u64 = 0xffff_ffff_ffff;

/// A MAC address as a number: its bytes in memory order, the first byte lowest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacKey(u64);

impl MacKey {
    /// No MAC: equal to none.
    pub const NONE: Self = Self(u64::MAX);

    /// Destination and source of an Ethernet header.
    #[inline(always)]
    pub fn pair(header: &[u8; 14]) -> (Self, Self) {
        // Two loads of eight bytes; spelled byte by byte the compiler makes more of them.
        let word =
            |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let destination = word(0) & MAC_MASK;
        let source = word(6) & MAC_MASK;
        (Self(destination), Self(source))
    }

    /// The number.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From the number.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits & MAC_MASK)
    }

    /// The address.
    pub fn octets(self) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Whether it is a group address: multicast or broadcast (IEEE 802 section 8.2).
    #[inline(always)]
    pub fn is_group(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it is 00:00:00:00:00:00, which the table uses for 'no key'.
    #[inline(always)]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether a station may have it: neither a group address nor zero.
    #[inline(always)]
    pub fn is_station(self) -> bool {
        !self.is_group() & !self.is_zero()
    }

    /// Whether it is one of 01:80:c2:00:00:00 to :0f, which no bridge forwards (IEEE 802.1Q table 8-1).
    #[inline(always)]
    pub fn is_bridge_reserved(self) -> bool {
        self.0 & 0xf0ff_ffff_ffff == 0x0000_00c2_8001
    }
}

impl From<[u8; 6]> for MacKey {
    fn from([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let [a, b, c, d, e, f] = self.octets();
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// What the FIB says of a MAC, in one word so that no reader sees half of it. From the lowest bit:
/// flags (8 bits), adjacency index (24), generation (16), tick of the last sighting (16). Never zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(NonZeroU64);

impl Entry {
    /// The adjacency indices that fit.
    pub const MAX_ADJACENCY: u32 = (1 << 24) - 1;
    const PRESENT: NonZeroU64 = NonZeroU64::MIN;
    const STATIC: u64 = 1 << 1;
    const FROZEN: u64 = 1 << 2;
    const ADJACENCY: u32 = 8;
    const GENERATION: u32 = 32;
    const TICK: u32 = 48;

    /// A learned entry. The adjacency index is taken modulo 2^24.
    #[inline]
    pub fn new(adjacency: u32, generation: u16, tick: u16) -> Self {
        let fields = u64::from(adjacency & Self::MAX_ADJACENCY) << Self::ADJACENCY
            | u64::from(generation) << Self::GENERATION
            | u64::from(tick) << Self::TICK;
        Self(Self::PRESENT | fields)
    }

    /// The same, from the operator: it neither ages nor moves, and no flush voids it.
    #[inline]
    pub fn with_static(self) -> Self {
        Self(self.0 | Self::STATIC)
    }

    /// The same of a learned entry that does not move for a while, or does again.
    #[inline]
    pub fn with_frozen(self, frozen: bool) -> Self {
        let word = self.0.get() & !Self::FROZEN | if frozen { Self::FROZEN } else { 0 };
        Self(Self::PRESENT | word)
    }

    /// Where the MAC is.
    #[inline(always)]
    pub fn adjacency(self) -> u32 {
        self.word() as u32 >> Self::ADJACENCY
    }

    /// The adjacency's generation when the entry was made.
    #[inline(always)]
    pub fn generation(self) -> u16 {
        (self.word() >> Self::GENERATION) as u16
    }

    /// Where the MAC is, and since which flush.
    #[inline(always)]
    pub fn location(self) -> Location {
        Location(self.word() >> Self::ADJACENCY & Location::MASK)
    }

    /// When the MAC was last seen, on the coarse clock.
    #[inline(always)]
    pub fn tick(self) -> u16 {
        (self.word() >> Self::TICK) as u16
    }

    /// Whether the operator made it.
    #[inline(always)]
    pub fn is_static(self) -> bool {
        self.word() & Self::STATIC != 0
    }

    /// Whether it does not move for a while.
    #[inline]
    pub fn is_frozen(self) -> bool {
        self.word() & Self::FROZEN != 0
    }

    /// Whether it does not move.
    #[inline]
    pub fn is_held(self) -> bool {
        self.word() & (Self::STATIC | Self::FROZEN) != 0
    }

    #[inline(always)]
    pub(super) fn with_tick(self, tick: u16) -> Self {
        let kept = self.word() & !(0xffff << Self::TICK);
        Self(Self::PRESENT | kept | u64::from(tick) << Self::TICK)
    }

    #[inline(always)]
    pub(super) fn from_word(word: u64) -> Option<Self> {
        NonZeroU64::new(word).map(Self)
    }

    #[inline(always)]
    pub(super) fn word(self) -> u64 {
        self.0.get()
    }
}

/// An adjacency at one of its generations, in the low 40 bits of a word: the adjacency's index (24) lowest, then the
/// generation (16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location(u64);

impl Location {
    const MASK: u64 = (1 << 40) - 1;

    /// An adjacency index, modulo 2^24, and its generation.
    #[inline]
    pub fn new(adjacency: u32, generation: u16) -> Self {
        Self(u64::from(adjacency & Entry::MAX_ADJACENCY) | u64::from(generation) << 24)
    }

    /// The low 40 bits of a number.
    #[inline(always)]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & Self::MASK)
    }

    /// The number.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The adjacency index.
    #[inline(always)]
    pub fn adjacency(self) -> u32 {
        self.0 as u32 & Entry::MAX_ADJACENCY
    }

    /// Its generation.
    #[inline]
    pub fn generation(self) -> u16 {
        (self.0 >> 24) as u16
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("adjacency", &self.adjacency())
            .field("generation", &self.generation())
            .field("tick", &self.tick())
            .field("is_static", &self.is_static())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_keeps_its_fields_apart(a in 0..=Entry::MAX_ADJACENCY, g: u16, t: u16, later: u16) {
            let entry = Entry::new(a, g, t);
            prop_assert_eq!((entry.adjacency(), entry.generation(), entry.tick()), (a, g, t));
            prop_assert!(!entry.is_static() && entry.word() != 0);
            prop_assert_eq!(entry.location(), Location::new(a, g));
            prop_assert_eq!(entry.location().adjacency(), a);
            let fixed = entry.with_static().with_tick(later);
            prop_assert_eq!((fixed.adjacency(), fixed.generation(), fixed.tick()), (a, g, later));
            prop_assert!(fixed.is_static() && fixed.is_held() && !fixed.is_frozen());
            let frozen = entry.with_frozen(true).with_tick(later);
            prop_assert!(frozen.is_frozen() && frozen.is_held() && !frozen.is_static());
            prop_assert_eq!(frozen.location(), entry.location());
            prop_assert_eq!(frozen.with_frozen(false).with_tick(t), entry);
        }

        #[test]
        fn a_key_is_the_address(mac: [u8; 6], tail: [u8; 8]) {
            prop_assert_eq!(MacKey::from(mac).octets(), mac);
            let mut header = [0; 14];
            header[..6].copy_from_slice(&mac);
            header[6..].copy_from_slice(&tail);
            let (destination, source) = MacKey::pair(&header);
            prop_assert_eq!(destination.octets(), mac);
            prop_assert_eq!(&source.octets()[..], &tail[..6]);
        }
    }

    #[test]
    fn special_addresses() {
        assert!(MacKey::from([0xff; 6]).is_group() && MacKey::from([1, 0, 0, 0, 0, 1]).is_group());
        assert!(!MacKey::from([2, 1, 1, 1, 1, 1]).is_group());
        for last in 0..=0x0f {
            assert!(MacKey::from([0x01, 0x80, 0xc2, 0, 0, last]).is_bridge_reserved());
        }
        assert!(!MacKey::from([0x01, 0x80, 0xc2, 0, 0, 0x10]).is_bridge_reserved());
        assert!(!MacKey::from([0x01, 0x80, 0xc2, 0, 1, 0]).is_bridge_reserved());
        assert!(!MacKey::from([0x01, 0x00, 0x5e, 0, 0, 1]).is_bridge_reserved());
    }
}
