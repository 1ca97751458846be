//! Lookups in the MAC FIB beside hashbrown and DPDK's rte_hash, on the same keys, in batches of 32: TSC
//! cycles a lookup. README.md has the figures and tells how to run it.

use std::ffi::c_void;
use std::hint::black_box;

use arrayvec::ArrayVec;
use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{BenchmarkId, Criterion, Throughput};
use ferry::dpdk::{Eal, EalOptions, cycles};
use ferry::fib::{Domain, Entry, FibWriter, MacKey, Probe, Reclaimer};

/// Lookups whose memory latency overlaps, as in a worker's burst.
const BATCH: usize = 32;
/// Lookups after which the keys repeat: enough that no branch predictor remembers them, and that the
/// largest table's buckets are not in the cache again.
fn queries(entries: usize) -> usize {
    (entries * 4).next_power_of_two().clamp(1 << 16, 1 << 22)
}

fn main() {
    let pages = if std::env::var_os("FERRY_BENCH_SMALL_PAGES").is_some() { "4k" } else { "2m" };
    if pages == "4k" {
        // SAFETY: changes nothing but what madvise does in this process from here on.
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    }
    let hugepages = std::env::var_os("FERRY_BENCH_HUGEPAGES").is_some();
    let eal = Eal::start(&EalOptions {
        control_core: 0,
        worker_cores: vec![],
        hugepages,
        memory: Some(2 << 30),
        pci_devices: vec![],
        extra: if hugepages { vec!["--in-memory".into()] } else { vec![] },
    });
    let _eal = match eal {
        Ok(eal) => eal,
        Err(error) => {
            eprintln!("EAL: {error}");
            std::process::exit(2);
        }
    };
    let mut criterion = Criterion::default()
        .with_measurement(Cycles)
        .sample_size(30)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(1500))
        .configure_from_args();
    for entries in [1_000, 100_000, 1_000_000, 10_000_000] {
        let keys = Keys::new(entries);
        bench(&mut criterion, &format!("ferry-{pages}"), &keys, &Ferry::new(&keys));
        bench(&mut criterion, "hashbrown", &keys, &Hashbrown::new(&keys));
        bench(&mut criterion, "rte_hash", &keys, &RteHash::new(&keys));
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion<Cycles>, name: &str, keys: &Keys, table: &impl Table) {
    let found = |queries: &[[MacKey; BATCH]]| -> usize {
        queries.iter().map(|batch| table.lookup(batch)).sum()
    };
    assert_eq!(found(&keys.hits), keys.hits.len() * BATCH, "{name}: every key must be found");
    assert!(found(&keys.misses) < 64, "{name}: found what is not there");
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    for (kind, queries) in [("hit", &keys.hits), ("miss", &keys.misses)] {
        let mut next = queries.iter().cycle();
        group.bench_function(BenchmarkId::new(kind, keys.entries), |bencher| {
            bencher.iter_custom(|lookups| {
                let batches = lookups.div_ceil(BATCH as u64);
                let start = cycles();
                for batch in next.by_ref().take(batches as usize) {
                    black_box(table.lookup(batch));
                }
                let spent = cycles().wrapping_sub(start);
                spent as f64 * lookups as f64 / (batches * BATCH as u64) as f64
            });
        });
    }
    group.finish();
}

/// A table filled with keys.
trait Table {
    /// Looks a batch up; returns how many were found.
    fn lookup(&self, batch: &[MacKey; BATCH]) -> usize;
}

struct Ferry {
    fib: ferry::fib::Fib,
    reader: ferry::fib::Reader,
    _writer: FibWriter,
}

impl Ferry {
    fn new(keys: &Keys) -> Self {
        let domain = Domain::new(1);
        let mut reclaimer = Reclaimer::new(domain.clone());
        let mut writer = FibWriter::new(usize::MAX);
        let start = std::time::Instant::now();
        let mut longest = std::time::Duration::ZERO;
        for (index, key) in keys.stored.iter().enumerate() {
            let before = std::time::Instant::now();
            let entry = Entry::new(index as u32, 1, 0);
            writer.insert(*key, entry, &mut reclaimer).expect("there is room");
            longest = longest.max(before.elapsed());
            reclaimer.reclaim();
        }
        eprintln!(
            "{} keys: {} ns an insertion, the longest (growth) {longest:?}, {} KiB",
            keys.entries,
            start.elapsed().as_nanos() / keys.entries as u128,
            writer.memory() >> 10
        );
        let reader = domain.register().expect("a free slot");
        Self { fib: writer.shared(), reader, _writer: writer }
    }
}

impl Table for Ferry {
    #[inline(never)]
    fn lookup(&self, batch: &[MacKey; BATCH]) -> usize {
        let buckets = self.fib.buckets(&self.reader);
        let probes: ArrayVec<_, BATCH> = batch.iter().map(|key| buckets.probe(*key)).collect();
        let found = |probe: Probe<'_>| probe.finish(&self.fib, &self.reader).map(|hit| hit.entry());
        let entries: ArrayVec<_, BATCH> = probes.into_iter().map(found).collect();
        black_box(&entries);
        entries.iter().flatten().count()
    }
}

struct Hashbrown(hashbrown::HashMap<MacKey, u64>);

impl Hashbrown {
    fn new(keys: &Keys) -> Self {
        Self(keys.stored.iter().zip(0..).map(|(key, index)| (*key, index)).collect())
    }
}

impl Table for Hashbrown {
    #[inline(never)]
    fn lookup(&self, batch: &[MacKey; BATCH]) -> usize {
        let entries: ArrayVec<_, BATCH> =
            batch.iter().map(|key| self.0.get(key).copied()).collect();
        black_box(&entries);
        entries.iter().flatten().count()
    }
}

struct RteHash(*mut dpdk_sys::rte_hash);

impl RteHash {
    fn new(keys: &Keys) -> Self {
        let parameters = dpdk_sys::rte_hash_parameters {
            name: c"fib".as_ptr(),
            entries: (keys.entries + keys.entries / 4) as u32,
            key_len: size_of::<u64>() as u32,
            extra_flag: dpdk_sys::RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF as u8,
            ..Default::default()
        };
        // SAFETY: the parameters are complete; no hash function means DPDK's own choice, CRC32.
        let hash = unsafe { dpdk_sys::rte_hash_create(&parameters) };
        assert!(!hash.is_null(), "rte_hash_create: too little EAL memory?");
        for (index, key) in keys.stored.iter().enumerate() {
            let bits = key.bits();
            // SAFETY: the key is as long as the parameters say, and is copied.
            let failed = unsafe {
                dpdk_sys::rte_hash_add_key_data(
                    hash,
                    (&raw const bits).cast(),
                    std::ptr::without_provenance_mut(index),
                )
            };
            assert_eq!(failed, 0, "rte_hash_add_key_data");
        }
        Self(hash)
    }
}

impl Table for RteHash {
    #[inline(never)]
    fn lookup(&self, batch: &[MacKey; BATCH]) -> usize {
        let bits = batch.map(MacKey::bits);
        let mut keys: [*const c_void; BATCH] = std::array::from_fn(|i| (&raw const bits[i]).cast());
        let mut data = [std::ptr::null_mut(); BATCH];
        let mut hits = 0;
        // SAFETY: both arrays have the length that is passed, and the keys outlive the call.
        unsafe {
            dpdk_sys::rte_hash_lookup_bulk_data(
                self.0,
                keys.as_mut_ptr(),
                BATCH as u32,
                &mut hits,
                data.as_mut_ptr(),
            );
        }
        black_box(&data);
        hits.count_ones() as usize
    }
}

impl Drop for RteHash {
    fn drop(&mut self) {
        // SAFETY: made by rte_hash_create, and nobody looks at it any more.
        unsafe { dpdk_sys::rte_hash_free(self.0) };
    }
}

/// Random stations' MACs, the same in every run.
struct Keys {
    entries: usize,
    stored: Vec<MacKey>,
    hits: Vec<[MacKey; BATCH]>,
    misses: Vec<[MacKey; BATCH]>,
}

impl Keys {
    fn new(entries: usize) -> Self {
        let mut random = Random(entries as u64);
        let mut mac = || {
            let [a, b, c, d, e, ..] = random.next().to_le_bytes();
            MacKey::from([0x02, a, b, c, d, e])
        };
        let mut stored: Vec<MacKey> = (0..entries).map(|_| mac()).collect();
        stored.sort_unstable();
        stored.dedup();
        let misses =
            (0..queries(entries) / BATCH).map(|_| std::array::from_fn(|_| mac())).collect();
        let pick = |random: &mut Random| stored[(random.next() % stored.len() as u64) as usize];
        let hits = (0..queries(entries) / BATCH)
            .map(|_| std::array::from_fn(|_| pick(&mut random)))
            .collect();
        Self { entries, stored, hits, misses }
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Time in TSC cycles.
struct Cycles;

impl Measurement for Cycles {
    type Intermediate = u64;
    type Value = f64;

    fn start(&self) -> u64 {
        cycles()
    }

    fn end(&self, start: u64) -> f64 {
        cycles().wrapping_sub(start) as f64
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Cycles {
    fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
        "cycles"
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        _throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        values.iter_mut().for_each(|value| *value = 1000.0 / *value);
        "lookups/kcycle"
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "cycles"
    }
}
