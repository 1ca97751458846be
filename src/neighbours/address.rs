//! Addresses of both families as keys.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::fib::MacKey;

/// An IPv4 or IPv6 address that one station can have. IPv4 is kept as IPv6 keeps it (RFC 4291 section 2.5.5.2), which
/// is no station's address by itself. As two numbers, so that what holds one is copied and read in whole words.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(Rust, packed(4))]
pub struct Address([u64; 2]);

impl Address {
    /// `None` for what no station can have: group, loopback and unspecified addresses.
    #[inline]
    pub fn of_station(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V4(ip) => Self::of_ipv4(ip),
            IpAddr::V6(ip) => Self::of_ipv6(ip),
        }
    }

    #[inline]
    pub(super) fn of_ipv4(ip: Ipv4Addr) -> Option<Self> {
        let first = ip.octets()[0];
        let is_station = first != 0 && first != 127 && first < 224;
        is_station.then(|| Self([0, 0xffff << 32 | u64::from(ip.to_bits())]))
    }

    #[inline]
    pub(super) fn of_ipv6(ip: Ipv6Addr) -> Option<Self> {
        let (high, low) = ((ip.to_bits() >> 64) as u64, ip.to_bits() as u64);
        let is_station = !ip.is_multicast() && (high != 0 || low >> 32 != 0xffff && low > 1);
        is_station.then_some(Self([high, low]))
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        let [high, low] = self.words().map(u128::from);
        IpAddr::V6(Ipv6Addr::from_bits(high << 64 | low)).to_canonical()
    }

    /// Whether it is one of IPv4.
    #[inline(always)]
    pub fn is_ipv4(self) -> bool {
        let [high, low] = self.0;
        high == 0 && low >> 32 == 0xffff
    }

    /// The address as two numbers.
    #[inline(always)]
    pub fn words(self) -> [u64; 2] {
        self.0
    }

    #[inline(always)]
    pub(super) fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.ip().fmt(formatter)
    }
}

/// What makes addresses keys of a FIB. IPv4 addresses are their own, which the FIB scatters by a seed of its own; others are hashed
/// by a random function, so that nobody can choose some that collide.
#[derive(Clone, Copy)]
pub(super) struct Seed([u64; 2]);

impl Seed {
    /// The bit that no IPv4 address has as a key.
    const HASHED: u64 = 1 << 47;

    pub fn random() -> Self {
        Self([0, 1].map(|_| RandomState::new().build_hasher().finish() | 1))
    }

    /// 46 bits of hash, or an IPv4 address, where a MAC has its bits, but for the one that would make it a group address.
    #[inline(always)]
    pub fn key(self, address: Address) -> MacKey {
        let [high, low] = address.words();
        let bits = if address.is_ipv4() {
            u64::from(low as u32) << 1
        } else {
            self.hash(high, low) >> 17 << 1 | Self::HASHED
        };
        let [a, b, c, d, e, f, _, _] = bits.to_le_bytes();
        MacKey::from([a, b, c, d, e, f])
    }

    #[inline(always)]
    fn hash(self, high: u64, low: u64) -> u64 {
        let Self([first, second]) = self;
        let mix = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        mix(mix(high ^ second, first) ^ low, second).wrapping_mul(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn an_address_there_and_back(ip: IpAddr) {
            if let Some(address) = Address::of_station(ip) {
                prop_assert_eq!(address.ip(), ip);
                prop_assert_eq!(Address::from_words(address.words()), address);
                let key = Seed::random().key(address);
                prop_assert!(key.is_station());
                prop_assert_eq!(key.bits() & Seed::HASHED == 0, address.is_ipv4());
            }
        }
    }

    #[test]
    fn what_no_station_has() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(Address::of_station(text.parse().unwrap()), None, "{text}");
        }
        for text in ["10.0.0.1", "169.254.1.1", "fe80::1", "2001:db8::1", "::2", "::1:0:0:1"] {
            assert!(Address::of_station(text.parse().unwrap()).is_some(), "{text}");
        }
    }

    #[test]
    fn neighbouring_addresses_hash_apart() {
        let seed = Seed::random();
        let mut keys = HashSet::new();
        for number in 0..100_000u32 {
            let v4 = Ipv4Addr::from(0x0a00_0000 + number);
            let v6 = Ipv6Addr::from(0xfd00 << 112 | u128::from(number) << 40 | u128::from(number));
            keys.extend(
                [v4.into(), v6.into()].map(|ip| seed.key(Address::of_station(ip).unwrap()).bits()),
            );
        }
        assert!(keys.len() >= 199_998, "{} of 200,000", keys.len());
    }
}
