//! A binding, in words that no reader sees half of.

use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::FromZeros;

use super::address::Address;
use crate::fib::MacKey;
use crate::wire::MacAddr;

/// How a binding came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// From the operator: it neither ages nor moves.
    Static,
    /// From ARP.
    Arp,
    /// From neighbour discovery.
    Nd,
    /// From a DHCP server's acknowledgement.
    Dhcp,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its MAC.
    pub mac: MacAddr,
    /// How that came to be known.
    pub kind: Kind,
    /// Whether it is a router's: who is told otherwise forgets a default route (RFC 4861 section 7.2.5).
    pub router: bool,
}

impl Binding {
    const KIND: u32 = 48;
    const ROUTER: u64 = 1 << 50;

    fn word(self) -> u64 {
        let router = if self.router { Self::ROUTER } else { 0 };
        MacKey::from(self.mac.0).bits() | (self.kind as u64) << Self::KIND | router
    }

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, ..] = word.to_le_bytes();
        let kind = match word >> Self::KIND & 3 {
            0 => Kind::Static,
            1 => Kind::Arp,
            2 => Kind::Nd,
            _ => Kind::Dhcp,
        };
        Self { mac: MacAddr([a, b, c, d, e, f]), kind, router: word & Self::ROUTER != 0 }
    }
}

/// An address and its binding. The address changes only while no reader can have the record's number.
#[repr(C, align(32))]
#[derive(FromZeros)]
pub(super) struct Record {
    address: [AtomicU64; 2],
    binding: AtomicU64,
}

impl Record {
    /// Whose binding it is. Relaxed: the number that led here was published after the address.
    #[inline(always)]
    pub fn address(&self) -> Address {
        Address::from_words(self.address.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    #[inline(always)]
    pub fn binding(&self) -> Binding {
        Binding::from_word(self.binding.load(Ordering::Relaxed))
    }

    /// Before anybody can have its number.
    pub fn fill(&self, address: Address, binding: Binding) {
        for (to, word) in self.address.iter().zip(address.words()) {
            to.store(word, Ordering::Relaxed);
        }
        self.set(binding);
    }

    /// Under the readers: they see the old binding or the new one, which both were true.
    pub fn set(&self, binding: Binding) {
        self.binding.store(binding.word(), Ordering::Relaxed);
    }

    /// For a larger array.
    pub fn copy(&self) -> Self {
        let copy = |word: &AtomicU64| AtomicU64::new(word.load(Ordering::Relaxed));
        Self { address: self.address.each_ref().map(copy), binding: copy(&self.binding) }
    }
}

const _: () = assert!(size_of::<Record>() == 32);

/// What an entry keeps of its binding's MAC.
#[inline(always)]
pub(super) fn tag(mac: MacAddr) -> u16 {
    (MacKey::from(mac.0).bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_binding_in_a_word(octets: [u8; 6], kind in 0..4usize, router: bool) {
            let kind = [Kind::Static, Kind::Arp, Kind::Nd, Kind::Dhcp][kind];
            let binding = Binding { mac: MacAddr(octets), kind, router };
            prop_assert_eq!(Binding::from_word(binding.word()), binding);
        }
    }
}
