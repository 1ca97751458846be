//! The writer's side: one owner on the control core, who changes the table under the readers.

use std::sync::Arc;

use super::address::{Address, Seed};
use super::read::Neighbours;
use super::record::{Binding, Kind, Record, tag};
use crate::fib::{Array, Entry, FibWriter, InsertError, Published, Reclaimer, no_memory};

/// log2 of the records of the smallest array.
const SMALLEST: u32 = 4;

/// Why a binding was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The network has as many learned bindings as it may.
    #[error("the limit of {0} learned bindings is reached")]
    LimitReached(usize),
    /// No memory, or another IPv6 address of the same hash, which is one in 10^14.
    #[error("no place for one more beside {0} bindings")]
    NoPlace(usize),
}

/// The one who writes [`Neighbours`].
pub struct NeighbourWriter {
    shared: Arc<Neighbours>,
    fib: FibWriter,
    /// The array that readers see.
    records: Arc<Array<Record>>,
    /// Records that were ever in use.
    used: usize,
    free: Vec<u32>,
    /// Given up since the mark below.
    emptied: Vec<u32>,
    /// Given up before it: free when the readers have passed it.
    waiting: Vec<u32>,
    mark: Option<u64>,
    /// Where the next sweep goes on.
    cursor: usize,
}

impl NeighbourWriter {
    /// An empty table that holds at most `limit` learned bindings.
    pub fn new(limit: usize) -> Self {
        let fib = FibWriter::new(limit);
        let records = Arc::new(Array::zeroed(SMALLEST).unwrap_or_else(|| no_memory()));
        let shared = Arc::new(Neighbours {
            fib: fib.shared(),
            records: Published::new(Box::new(records.clone())),
            seed: Seed::random(),
        });
        let (free, emptied, waiting) = Default::default();
        Self { shared, fib, records, used: 0, free, emptied, waiting, mark: None, cursor: 0 }
    }

    /// The readers' side.
    pub fn shared(&self) -> Arc<Neighbours> {
        self.shared.clone()
    }

    /// Learned bindings.
    pub fn learned(&self) -> usize {
        self.fib.learned()
    }

    /// Static bindings.
    pub fn fixed(&self) -> usize {
        self.fib.fixed()
    }

    /// The most learned bindings that it takes.
    pub fn limit(&self) -> usize {
        self.fib.limit()
    }

    /// Sets the most learned bindings that it takes; those that it has stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.fib.set_limit(limit);
    }

    /// Bytes of the table.
    pub fn memory(&self) -> usize {
        self.fib.memory() + size_of_val(&**self.records)
    }

    /// What is known of an address.
    pub fn get(&self, address: Address) -> Option<Binding> {
        let record = self.record(self.fib.get(self.shared.seed.key(address))?)?;
        (record.address() == address).then(|| record.binding())
    }

    /// Adds or replaces the binding of an address, heard of at `tick`.
    ///
    /// # Errors
    /// The limit is reached (static bindings do not count), or there is no place.
    pub fn insert(
        &mut self,
        address: Address,
        binding: Binding,
        tick: u16,
        reclaimer: &mut Reclaimer,
    ) -> Result<(), Refused> {
        let key = self.shared.seed.key(address);
        let entry = |slot| {
            let entry = Entry::new(slot, tag(binding.mac), tick);
            if binding.kind == Kind::Static { entry.with_static() } else { entry }
        };
        if let Some(found) = self.fib.get(key) {
            let slot = found.adjacency();
            if self.record(found).is_none_or(|record| record.address() != address) {
                return Err(self.no_place());
            }
            self.fib.insert(key, entry(slot), reclaimer).map_err(|error| self.refused(error))?;
            self.records[slot as usize].set(binding);
            return Ok(());
        }
        let slot = self.take_record(reclaimer).ok_or_else(|| self.no_place())?;
        self.records[slot as usize].fill(address, binding);
        self.fib.insert(key, entry(slot), reclaimer).map(|_| ()).map_err(|error| {
            // No reader has seen it.
            self.free.push(slot);
            self.refused(error)
        })
    }

    /// Removes an address. Returns what was known of it.
    pub fn remove(&mut self, address: Address) -> Option<Binding> {
        let binding = self.get(address)?;
        let entry = self.fib.remove(self.shared.seed.key(address))?;
        self.emptied.push(entry.adjacency());
        Some(binding)
    }

    /// Looks at the bindings of `budget` buckets, and removes those that `keep` refuses. Returns whether it has
    /// come to the end.
    pub fn sweep(
        &mut self,
        budget: usize,
        reclaimer: &mut Reclaimer,
        keep: impl Fn(Entry) -> bool,
    ) -> bool {
        let mut refused = Vec::new();
        self.cursor = self.fib.sweep(self.cursor, budget, reclaimer, |key, entry| {
            let keeps = keep(entry);
            if !keeps {
                refused.push((key, entry.adjacency()));
            }
            keeps
        });
        // One that a worker has just heard of is still there.
        for (key, slot) in refused {
            if self.fib.get(key).is_none() {
                self.emptied.push(slot);
            }
        }
        self.cursor == 0
    }

    /// Buckets that a sweep has before it.
    pub fn left(&self) -> usize {
        self.fib.buckets().saturating_sub(self.cursor)
    }

    /// All bindings, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Address, Binding)> + '_ {
        self.fib.iter().filter_map(|(_, entry)| {
            let record = self.record(entry)?;
            Some((record.address(), record.binding()))
        })
    }

    /// The bindings from bucket `cursor` on, at least `wanted` unless they are rare, and where to go on.
    pub fn page(
        &self,
        cursor: usize,
        wanted: usize,
    ) -> (Vec<(Address, Binding, Entry)>, Option<usize>) {
        let (entries, next) = self.fib.page(cursor, wanted);
        let found = entries.into_iter().filter_map(|(_, entry)| {
            let record = self.record(entry)?;
            Some((record.address(), record.binding(), entry))
        });
        (found.collect(), next)
    }

    /// Frees what no reader can be looking at any more; never waits. Call it often.
    pub fn reclaim(&mut self, reclaimer: &mut Reclaimer) {
        self.fib.reclaim(reclaimer);
        if let Some(mark) = self.mark {
            if !reclaimer.passed(mark) {
                return;
            }
            self.mark = None;
            self.free.append(&mut self.waiting);
        }
        if !self.emptied.is_empty() {
            self.waiting = std::mem::take(&mut self.emptied);
            self.mark = Some(reclaimer.mark());
        }
    }

    fn record(&self, entry: Entry) -> Option<&Record> {
        self.records.get(entry.adjacency() as usize)
    }

    /// A record that no reader can have the number of.
    fn take_record(&mut self, reclaimer: &mut Reclaimer) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.used > Entry::MAX_ADJACENCY as usize {
            return None;
        }
        if self.used == self.records.len() {
            let mut records = Array::<Record>::zeroed(self.used.ilog2() + 1)?;
            for (new, old) in records.iter_mut().zip(self.records.iter()) {
                *new = old.copy();
            }
            let records = Arc::new(records);
            self.shared.records.publish(Box::new(records.clone()), reclaimer);
            self.records = records;
        }
        self.used += 1;
        Some((self.used - 1) as u32)
    }

    fn no_place(&self) -> Refused {
        Refused::NoPlace(self.learned() + self.fixed())
    }

    fn refused(&self, error: InsertError) -> Refused {
        match error {
            InsertError::LimitReached(limit) => Refused::LimitReached(limit),
            InsertError::NoPlace(_) | InsertError::NotAStation => self.no_place(),
        }
    }
}
