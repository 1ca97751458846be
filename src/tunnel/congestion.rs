//! What outer headers say of congestion, and inner ones then say too (RFC 6040 section 4.2).

use crate::drop_reason::DropReason;
use crate::wire::traffic_class::ecn::{CE, ECT_0, ECT_1, NOT_ECT};
use crate::wire::traffic_class::{ECN, set_ecn, traffic_class};

/// The ECN bits of an outer header that may matter to the inner one. Whoever sends ECT(0), or no ECN at all, is answered by the
/// inner header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// ECT(1).
    Ect1,
    /// Congestion experienced.
    Ce,
}

impl Mark {
    /// The bit that all marks have, and no other ECN bits.
    pub(super) const BIT: u8 = ECT_1;

    /// Of an outer header with this traffic class.
    #[inline]
    pub fn of(traffic_class: u8) -> Option<Self> {
        match traffic_class & ECN {
            ECT_1 => Some(Self::Ect1),
            CE => Some(Self::Ce),
            _ => None,
        }
    }

    /// Tells an inner frame, unless it is not IP.
    ///
    /// # Errors
    /// There is congestion, and a drop is all that its sender understands.
    #[cold]
    pub fn tell(self, frame: &mut [u8]) -> Result<(), DropReason> {
        match (traffic_class(frame).map(|class| class & ECN), self) {
            (Some(NOT_ECT), Self::Ce) => return Err(DropReason::CongestionWithoutEcn),
            (Some(ECT_0 | ECT_1), Self::Ce) => set_ecn(frame, CE),
            (Some(ECT_0), Self::Ect1) => set_ecn(frame, ECT_1),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(class: u8) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60 | class >> 4, class << 4, 0, 0, 0, 0, 59, 64]);
        frame.extend([0; 32]);
        frame
    }

    /// Figure 4 of RFC 6040: a row for each inner header, a column for each outer one, in the order of the RFC.
    #[test]
    fn all_pairs_of_inner_and_outer_headers() {
        const ORDER: [u8; 4] = [NOT_ECT, ECT_0, ECT_1, CE];
        let figure = [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE); 4]),
        ];
        for (inner, row) in figure {
            for (outer, expected) in ORDER.into_iter().zip(row) {
                let mut found = frame(0xb8 | inner);
                let told = Mark::of(0x28 | outer).map_or(Ok(()), |mark| mark.tell(&mut found));
                match expected {
                    Some(ecn) => assert_eq!((told, found), (Ok(()), frame(0xb8 | ecn))),
                    None => assert_eq!(told, Err(DropReason::CongestionWithoutEcn)),
                }
                assert_eq!(Mark::of(outer).is_some(), outer & Mark::BIT != 0);
            }
        }
    }

    #[test]
    fn what_is_not_ip_knows_nothing_of_congestion() {
        let mut arp = frame(0);
        arp[12..14].copy_from_slice(&[8, 6]);
        let before = arp.clone();
        assert_eq!((Mark::Ce.tell(&mut arp), arp), (Ok(()), before));
        assert_eq!(Mark::Ce.tell(&mut []), Ok(()));
    }
}
