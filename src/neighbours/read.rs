//! The readers' side: lookups in three steps, so that the cache misses of many overlap.

use std::sync::Arc;

use super::address::{Address, Seed};
use super::record::tag;
use super::record::{Binding, Record};
use crate::fib::{Array, Fib, Hit, Probe, Published, Reader, prefetch};
use crate::wire::MacAddr;

/// A network's bindings as workers see them. On cache lines of its own: counting references to it disturbs no reader.
#[repr(align(128))]
pub struct Neighbours {
    pub(super) fib: Fib,
    /// By number. A larger array takes its place before an entry names what only that has.
    pub(super) records: Published<Arc<Array<Record>>>,
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
    pub fn find<'r>(&'r self, address: Address, reader: &'r Reader) -> Option<Known<'r>> {
        let listed = self.begin(address, reader).look(self, reader)?;
        let binding = listed.reach(self, reader)?.finish(address)?;
        Some(Known { hit: listed.0, binding })
    }

    /// Begins to look an address up: asks the cache for its bucket.
    #[inline]
    pub fn begin<'r>(&'r self, address: Address, reader: &'r Reader) -> Begun<'r> {
        Begun(self.fib.buckets(reader).probe(self.seed.key(address)))
    }
}

/// A lookup that has been begun.
#[derive(Clone, Copy)]
pub struct Begun<'r>(Probe<'r>);

impl<'r> Begun<'r> {
    /// Looks into the bucket, of the same table. `None`: there is none.
    #[inline]
    pub fn look(self, table: &'r Neighbours, reader: &'r Reader) -> Option<Listed<'r>> {
        self.0.finish(&table.fib, reader).map(Listed)
    }
}

/// A lookup that has found an entry, which tells enough of most that is said.
#[derive(Clone, Copy)]
pub struct Listed<'r>(Hit<'r>);

impl<'r> Listed<'r> {
    /// Asks the cache for the record.
    #[inline]
    pub fn reach(self, table: &'r Neighbours, reader: &'r Reader) -> Option<Reached<'r>> {
        let Self(hit) = self;
        let record = table.records.load(reader).get(hit.entry().adjacency() as usize)?;
        prefetch(record);
        Some(Reached(record))
    }

    /// Whether the operator made it.
    #[inline(always)]
    pub fn is_static(self) -> bool {
        self.0.entry().is_static()
    }

    /// When it was last heard of, on the coarse clock.
    #[inline(always)]
    pub fn tick(self) -> u16 {
        self.0.entry().tick()
    }

    /// Whether it may have this MAC: one in 65,536 others looks the same.
    #[inline(always)]
    pub fn may_be(self, mac: MacAddr) -> bool {
        self.0.entry().generation() == tag(mac)
    }
}

/// A lookup that has come to a record.
#[derive(Clone, Copy)]
pub struct Reached<'r>(&'r Record);

impl Reached<'_> {
    /// What is known, if the record is of the address that is looked up.
    #[inline]
    pub fn finish(self, address: Address) -> Option<Binding> {
        (self.0.address() == address).then(|| self.0.binding())
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
