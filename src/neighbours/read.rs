//! The readers' side.

use std::sync::Arc;

use super::address::{Address, Seed};
use super::record::{Binding, Record};
use crate::fib::{Fib, Hit, Published, Reader};

/// A network's bindings as workers see them. On cache lines of its own: counting references to it disturbs no reader.
#[repr(align(128))]
pub struct Neighbours {
    pub(super) fib: Fib,
    /// By number. A larger array takes its place before an entry names what only that has.
    pub(super) records: Published<Arc<[Record]>>,
    pub(super) seed: Seed,
}

/// A binding that was found.
#[derive(Clone, Copy)]
pub struct Known<'r> {
    hit: Hit<'r>,
    /// What it says.
    pub binding: Binding,
}

impl Neighbours {
    /// Looks an address up.
    #[inline]
    pub fn find<'r>(&'r self, address: Address, reader: &'r Reader) -> Option<Known<'r>> {
        let probe = self.fib.buckets(reader).probe(self.seed.key(address));
        let hit = probe.finish(&self.fib, reader)?;
        let record = self.records.load(reader).get(hit.entry().adjacency() as usize)?;
        (record.address() == address).then(|| Known { hit, binding: record.binding() })
    }
}

impl Known<'_> {
    /// When it was last heard of, on the coarse clock.
    #[inline]
    pub fn tick(&self) -> u16 {
        self.hit.entry().tick()
    }

    /// Marks it as heard of at `tick`. Call it only when the tick is old enough to matter.
    #[inline]
    pub fn refresh(&self, tick: u16) {
        self.hit.refresh(tick);
    }
}
