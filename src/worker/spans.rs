//! Which bytes of a packet in fragments are there.

use arrayvec::ArrayVec;

/// Gaps that a packet may have at once, and one more: its fragments mostly come in order.
const MOST: usize = 16;

/// Spans of a payload that do not touch each other, in their order, and where the payload ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans {
    list: ArrayVec<(u16, u16), MOST>,
    end: Option<u16>,
}

/// A fragment that contradicts those before it, so that nobody can say what its packet was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit;

impl Spans {
    /// Adds a fragment. `false` where all of it was there before.
    ///
    /// # Errors
    /// It is empty, is not in units of 8 bytes, ends elsewhere than others say, or overlaps them (RFC 5722, and RFC 3128 over
    /// IPv4); or there are too many gaps.
    pub fn add(&mut self, start: u16, end: u16, is_last: bool) -> Result<bool, Misfit> {
        let is_odd = !start.is_multiple_of(8) || !is_last && !end.is_multiple_of(8);
        if start >= end || is_odd {
            return Err(Misfit);
        }
        let reached = self.list.last().map_or(0, |span| span.1);
        if is_last && (self.end.is_some_and(|known| known != end) || reached > end)
            || !is_last && self.end.is_some_and(|known| end >= known)
        {
            return Err(Misfit);
        }
        if is_last {
            self.end = Some(end);
        }
        let place = self.list.partition_point(|span| span.1 <= start);
        if let Some(next) = self.list.get(place) {
            if next.0 <= start && end <= next.1 {
                return Ok(false);
            }
            if next.0 < end {
                return Err(Misfit);
            }
        }
        let joins_next = self.list.get(place).is_some_and(|next| next.0 == end);
        let joins_last = place > 0 && self.list[place - 1].1 == start;
        match (joins_last, joins_next) {
            (true, true) => {
                self.list[place - 1].1 = self.list[place].1;
                self.list.remove(place);
            }
            (true, false) => self.list[place - 1].1 = end,
            (false, true) => self.list[place].0 = start,
            (false, false) => self.list.try_insert(place, (start, end)).map_err(|_| Misfit)?,
        }
        Ok(true)
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.end.is_some_and(|end| self.list[..] == [(0, end)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(spans: &mut Spans, fragments: &[(u16, u16, bool)]) -> Result<bool, Misfit> {
        let mut last = Ok(false);
        for &(start, end, is_last) in fragments {
            assert!(!spans.is_whole());
            last = spans.add(start, end, is_last);
        }
        last
    }

    proptest! {
        #[test]
        fn in_any_order_it_is_whole_when_the_last_one_comes(
            (cuts, order) in proptest::collection::btree_set(1..200u16, 1..12).prop_flat_map(|cuts| {
                let order: Vec<usize> = (0..cuts.len()).collect();
                (Just(cuts), Just(order).prop_shuffle())
            }),
            odd in 0..8u16,
        ) {
            let ends: Vec<u16> = cuts.iter().map(|cut| cut * 8).collect();
            let mut spans = Spans::default();
            for (number, &index) in order.iter().enumerate() {
                let is_last = index + 1 == ends.len();
                let start = if index == 0 { 0 } else { ends[index - 1] };
                let end = if is_last { ends[index] - odd } else { ends[index] };
                prop_assert!(!spans.is_whole());
                prop_assert_eq!(spans.add(start, end, is_last), Ok(true));
                prop_assert_eq!(spans.add(start, end, is_last), Ok(false), "twice");
                prop_assert_eq!(spans.is_whole(), number + 1 == order.len());
            }
        }

        #[test]
        fn no_byte_is_ever_taken_twice(
            fragments in proptest::collection::vec((0..64u16, 1..9u16, any::<bool>()), 0..40)
        ) {
            let mut spans = Spans::default();
            let mut there = [false; 1024];
            for (start, length, is_last) in fragments {
                let (start, end) = (start * 8, (start + length) * 8);
                let known = &mut there[usize::from(start)..usize::from(end)];
                match spans.add(start, end, is_last) {
                    Ok(true) => {
                        prop_assert!(known.iter().all(|known| !known));
                        known.fill(true);
                    }
                    Ok(false) => prop_assert!(known.iter().all(|known| *known)),
                    // The packet is given up.
                    Err(Misfit) => break,
                }
            }
        }
    }

    #[test]
    fn contradictions() {
        let misfit = |fragments: &[(u16, u16, bool)]| {
            let mut spans = Spans::default();
            assert_eq!(add(&mut spans, fragments), Err(Misfit), "{fragments:?}");
        };
        misfit(&[(8, 8, true)]);
        misfit(&[(0, 12, false)]);
        misfit(&[(4, 12, true)]);
        misfit(&[(0, 16, false), (8, 24, true)]);
        misfit(&[(8, 24, false), (0, 16, false)]);
        misfit(&[(8, 16, false), (0, 24, false)]);
        misfit(&[(8, 24, true), (24, 32, true)]);
        misfit(&[(16, 24, false), (8, 20, true)]);
        misfit(&[(8, 24, true), (24, 32, false)]);
        misfit(&[(8, 24, true), (16, 24, false)]);
        let gaps: Vec<_> = (0..=MOST as u16).map(|of| (of * 16, of * 16 + 8, false)).collect();
        misfit(&gaps);
        let mut spans = Spans::default();
        assert_eq!(add(&mut spans, &gaps[..MOST]), Ok(true));
    }

    #[test]
    fn one_fragment_may_be_all() {
        let mut spans = Spans::default();
        assert_eq!(spans.add(0, 13, true), Ok(true));
        assert!(spans.is_whole());
    }
}
