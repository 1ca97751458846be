//! Network IDs.

use serde::Serialize;

/// A 24-bit network ID, never 0 (RFC 7348 section 5; 0 is left to the underlay).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Vni(u32);

/// Not a network ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a network ID; it is a number from 1 to 16777215")]
pub struct VniError(pub u64);

impl Vni {
    /// The number.
    #[inline]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for Vni {
    type Error = VniError;

    fn try_from(number: u64) -> Result<Self, VniError> {
        match u32::try_from(number) {
            Ok(id @ 1..=0x00ff_ffff) => Ok(Self(id)),
            _ => Err(VniError(number)),
        }
    }
}

impl std::fmt::Display for Vni {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_four_bits_and_not_zero() {
        assert_eq!(Vni::try_from(1).unwrap().get(), 1);
        assert_eq!(Vni::try_from(16_777_215).unwrap().get(), 16_777_215);
        for wrong in [0, 1 << 24, u64::MAX] {
            assert_eq!(Vni::try_from(wrong), Err(VniError(wrong)));
        }
    }
}
