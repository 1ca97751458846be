//! The table against a model, and under readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::table::{MAX_DISTANCE, Seed, WAYS};
use super::*;

mod qsbr;

fn mac(number: u64) -> MacKey {
    let [a, b, c, d, e, ..] = number.to_le_bytes();
    MacKey::from([0x02, a, b, c, d, e])
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u32, bool),
    Remove(u64),
    Sweep(u32),
    Rebuild(u32),
    Reclaim,
    Limit(usize),
    Reseed,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..300u64;
    let step = prop_oneof![
        6 => (key.clone(), 0..8u32, prop::bool::weighted(0.1)).prop_map(|(k, a, s)| Step::Insert(k, a, s)),
        3 => key.prop_map(Step::Remove),
        1 => (0..8u32).prop_map(Step::Sweep),
        1 => (0..8u32).prop_map(Step::Rebuild),
        2 => Just(Step::Reclaim),
        1 => (0..300usize).prop_map(Step::Limit),
        1 => Just(Step::Reseed),
    ];
    prop::collection::vec(step, 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_table_is_a_map_with_a_limit(steps in steps()) {
        let domain = Domain::new(1);
        let mut reader = domain.register().unwrap();
        let mut reclaimer = Reclaimer::new(domain);
        let mut writer = FibWriter::new(200);
        let fib = writer.shared();
        let mut model: HashMap<u64, Entry> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(key, adjacency, fixed) => {
                    let entry = Entry::new(adjacency, 1, 0);
                    let entry = if fixed { entry.with_static() } else { entry };
                    let was_learned = model.get(&key).is_some_and(|old| !old.is_static());
                    let learned = model.values().filter(|entry| !entry.is_static()).count();
                    let full = !fixed && !was_learned && learned >= writer.limit();
                    let result = writer.insert(mac(key), entry, &mut reclaimer);
                    if full {
                        prop_assert_eq!(result, Err(InsertError::LimitReached(writer.limit())));
                    } else {
                        let old = model.insert(key, entry);
                        prop_assert_eq!(result, Ok(old.map_or(Change::New, Change::Updated)));
                    }
                }
                Step::Remove(key) => prop_assert_eq!(writer.remove(mac(key)), model.remove(&key)),
                Step::Sweep(adjacency) => {
                    let mut cursor = writer.sweep(0, 3, &mut reclaimer, |_, e| e.adjacency() != adjacency);
                    while cursor != 0 {
                        cursor = writer.sweep(cursor, 3, &mut reclaimer, |_, e| e.adjacency() != adjacency);
                    }
                    model.retain(|_, entry| entry.adjacency() != adjacency);
                }
                Step::Rebuild(adjacency) => {
                    writer.rebuild(|_, entry| entry.adjacency() != adjacency, &mut reclaimer);
                    model.retain(|_, entry| entry.adjacency() != adjacency);
                }
                Step::Reclaim => {
                    reader.quiescent();
                    writer.reclaim(&mut reclaimer);
                    reclaimer.reclaim();
                }
                Step::Limit(limit) => writer.set_limit(limit),
                // It may have to be put off, but changes nothing that can be seen.
                Step::Reseed => _ = writer.reseed(&mut reclaimer),
            }
            prop_assert_eq!(writer.learned() + writer.fixed(), model.len());
        }
        for key in 0..300 {
            prop_assert_eq!(fib.lookup(mac(key), &reader), model.get(&key).copied());
            prop_assert_eq!(writer.get(mac(key)), model.get(&key).copied());
        }
        prop_assert_eq!(writer.iter().count(), model.len());
    }
}

#[test]
fn a_stations_address_is_needed() {
    let mut reclaimer = Reclaimer::new(Domain::new(1));
    let mut writer = FibWriter::new(10);
    for bad in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let result = writer.insert(MacKey::from(bad), Entry::new(1, 1, 1), &mut reclaimer);
        assert_eq!(result, Err(InsertError::NotAStation));
    }
}

#[test]
fn a_removed_slot_is_reused_only_after_a_grace_period() {
    let domain = Domain::new(1);
    let mut reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(1000);
    for key in 0..10 {
        writer.insert(mac(key), Entry::new(1, 1, 0), &mut reclaimer).unwrap();
    }
    let size = writer.memory();
    for round in 0..100u64 {
        // Without reuse the table would grow; with reuse before the grace period a reader could be misled.
        writer.insert(mac(1000 + round), Entry::new(2, 1, 0), &mut reclaimer).unwrap();
        writer.remove(mac(1000 + round)).unwrap();
        writer.reclaim(&mut reclaimer);
        reader.quiescent();
        writer.reclaim(&mut reclaimer);
    }
    assert_eq!(writer.memory(), size);
}

#[test]
fn memory_follows_the_contents() {
    let domain = Domain::new(1);
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(usize::MAX);
    assert!(writer.memory() + size_of::<FibWriter>() + size_of::<Fib>() < 4096);
    for key in 0..1_000_000 {
        writer.insert(mac(key), Entry::new(1, 1, 0), &mut reclaimer).unwrap();
        reclaimer.reclaim();
    }
    // The old half-size table during growth included.
    assert!(writer.memory() / 2 * 3 <= 64 << 20, "{} bytes", writer.memory());
    assert_eq!(writer.sweep(0, usize::MAX, &mut reclaimer, |_, _| false), 0);
    assert!(writer.memory() < 4096);
}

#[test]
fn a_flush_of_a_port_is_one_generation() {
    let domain = Domain::new(1);
    let reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(10);
    let mut generations = [1u16, 1];
    writer.insert(mac(1), Entry::new(0, generations[0], 0), &mut reclaimer).unwrap();
    writer.insert(mac(2), Entry::new(1, generations[1], 0), &mut reclaimer).unwrap();
    writer.insert(mac(3), Entry::new(0, 0, 0).with_static(), &mut reclaimer).unwrap();
    generations[0] += 1;
    let fib = writer.shared();
    let valid = |key| {
        let entry = fib.lookup(mac(key), &reader).unwrap();
        entry.is_static() || entry.generation() == generations[entry.adjacency() as usize]
    };
    assert_eq!([1, 2, 3].map(valid), [false, true, true]);
}

/// The writer grows, shrinks, removes and reuses while readers look; each key's entry says which key
/// it belongs to, so a reader that is shown another's notices.
#[test]
fn readers_see_only_what_was_written_for_their_key() {
    const STEADY: u64 = 500;
    const CHURN: u64 = 2000;
    let domain = Domain::new(2);
    let mut reclaimer = Reclaimer::new(domain.clone());
    let mut writer = FibWriter::new(usize::MAX);
    let tag = |key: u64| Entry::new(key as u32, key as u16, 0);
    for key in 0..STEADY {
        writer.insert(mac(key), tag(key), &mut reclaimer).unwrap();
    }
    let fib = writer.shared();
    let stop = AtomicBool::new(false);
    let (fib, stop) = (&fib, &stop);
    std::thread::scope(|scope| {
        for reader in [domain.register().unwrap(), domain.register().unwrap()] {
            scope.spawn(move || {
                let mut reader = reader;
                let mut key = 0;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..64 {
                        key = (key * 29 + 7) % (STEADY + CHURN);
                        let hit = fib.buckets(&reader).probe(mac(key)).finish(fib, &reader);
                        if let Some(hit) = hit {
                            let entry = hit.entry();
                            assert_eq!(
                                (entry.adjacency(), entry.generation()),
                                (key as u32, key as u16)
                            );
                            hit.refresh(entry.tick().wrapping_add(1));
                        }
                        assert!(hit.is_some() || key >= STEADY, "key {key} vanished");
                    }
                    reader.quiescent();
                }
            });
        }
        let mut reseeded = 0;
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            for key in STEADY..STEADY + CHURN {
                writer.insert(mac(key), tag(key), &mut reclaimer).unwrap();
                writer.reclaim(&mut reclaimer);
            }
            for key in STEADY..STEADY + CHURN / 2 {
                writer.remove(mac(key)).unwrap();
                writer.reclaim(&mut reclaimer);
            }
            writer.sweep(0, usize::MAX, &mut reclaimer, |_, entry| {
                u64::from(entry.adjacency()) < STEADY
            });
            reseeded += u32::from(writer.reseed(&mut reclaimer));
            reclaimer.reclaim();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reseeded > 2, "the readers hold up the writer");
    });
}

/// VMs' MACs come in sequences; no seed may pile them up.
#[test]
fn sequences_of_addresses_spread_as_well_as_random_ones() {
    let mut larger = 0;
    for round in 0..300u64 {
        let mut reclaimer = Reclaimer::new(Domain::new(1));
        let mut writer = FibWriter::new(usize::MAX);
        for number in 0..3000u64 {
            let [.., d, e, f] = (number * (1 + round % 7)).to_be_bytes();
            let key = MacKey::from([0x52, 0x54, 0, d, e, f]);
            writer.insert(key, Entry::new(1, 1, 0), &mut reclaimer).unwrap();
        }
        larger += usize::from(writer.memory() > 64 << 10);
    }
    assert_eq!(larger, 0, "of 300 tables");
}

/// Keys that all have the same home in a table of `2^log2` buckets, whatever a smaller one.
fn aimed(seed: Seed, log2: u32, wanted: usize) -> Vec<MacKey> {
    let home = seed.home(mac(0), log2);
    (0..).map(mac).filter(|key| seed.home(*key, log2) == home).take(wanted).collect()
}

/// More than can lie between a home and the longest distance from it.
const TOO_MANY: usize = (MAX_DISTANCE + 1) * WAYS + 1;

#[test]
fn keys_aimed_at_one_bucket_get_the_table_another_seed() {
    let domain = Domain::new(1);
    let reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let seed = Seed::random();
    let mut writer = FibWriter::with_seed(usize::MAX, seed);
    let keys = aimed(seed, 12, TOO_MANY);
    for key in &keys {
        writer.insert(*key, Entry::new(1, 1, 0), &mut reclaimer).unwrap();
    }
    assert!(writer.memory() <= 16 << 10, "{} bytes", writer.memory());
    let fib = writer.shared();
    assert!(keys.iter().all(|key| fib.lookup(*key, &reader).is_some()));
}

#[test]
fn when_no_seed_is_to_be_had_an_insertion_fails_and_is_counted() {
    let domain = Domain::new(1);
    let mut reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(usize::MAX);
    // The first seed goes; and while the reader stays where it is, the second cannot go too.
    for key in aimed(writer.seed(), 12, TOO_MANY) {
        writer.insert(key, Entry::new(1, 1, 0), &mut reclaimer).unwrap();
    }
    let keys = aimed(writer.seed(), 12, TOO_MANY);
    let refused = |writer: &mut FibWriter, reclaimer: &mut Reclaimer| -> Vec<MacKey> {
        let mut refused = keys.clone();
        refused.retain(|key| match writer.insert(*key, Entry::new(1, 1, 0), reclaimer) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error, InsertError::NoPlace(writer.learned()), "not the limit");
                true
            }
        });
        refused
    };
    let missing = refused(&mut writer, &mut reclaimer);
    assert!(!missing.is_empty() && missing.len() < keys.len());
    assert_eq!(writer.crowded(), missing.len() as u64);
    let found = keys.iter().filter(|key| writer.get(**key).is_some()).count();
    assert_eq!(found, keys.len() - missing.len(), "what was refused is not there, the rest is");
    reader.quiescent();
    // A rebuild has to be paid for by insertions, refused ones too.
    let rounds = (0..20).position(|_| refused(&mut writer, &mut reclaimer).is_empty());
    assert!(rounds.is_some(), "{} refused", writer.crowded());
}

#[test]
fn a_table_grows_though_it_was_just_rebuilt() {
    let domain = Domain::new(1);
    let mut reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(1000);
    for key in 0..500 {
        let result = writer.insert(mac(key), Entry::new(1, 1, 0), &mut reclaimer);
        assert_eq!(result, Ok(Change::New), "{key}");
        if key % 2 == 0 {
            reader.quiescent();
            writer.reseed(&mut reclaimer);
        }
    }
}

/// Unused slots look like nobody's key.
#[test]
fn addresses_of_no_station_are_never_found() {
    let domain = Domain::new(1);
    let reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(10);
    for key in 0..8 {
        writer.insert(mac(key), Entry::new(1, 1, 0), &mut reclaimer).unwrap();
    }
    for key in 0..4 {
        writer.remove(mac(key)).unwrap();
    }
    let fib = writer.shared();
    for nobody in [[0; 6], [1, 0, 0, 0, 0, 0], [0xff; 6]] {
        assert_eq!(fib.lookup(MacKey::from(nobody), &reader), None);
        assert_eq!(writer.get(MacKey::from(nobody)), None);
    }
}

#[test]
fn a_flush_keeps_what_it_should_and_never_grows_the_table() {
    let domain = Domain::new(1);
    let reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = FibWriter::new(usize::MAX);
    for key in 0..1000 {
        let entry = Entry::new(1, 1, 0);
        let entry = if key < 10 { entry.with_static() } else { entry };
        writer.insert(mac(key), entry, &mut reclaimer).unwrap();
    }
    let memory = writer.memory();
    writer.rebuild(|_, _| true, &mut reclaimer);
    assert_eq!((writer.memory(), writer.learned(), writer.fixed()), (memory, 990, 10));
    writer.rebuild(|_, entry| entry.is_static(), &mut reclaimer);
    assert_eq!((writer.learned(), writer.fixed()), (0, 10));
    assert!(writer.memory() < memory / 8);
    let fib = writer.shared();
    assert_eq!((0..1000).filter(|key| fib.lookup(mac(*key), &reader).is_some()).count(), 10);
}

/// A full table of random keys stays within the distance, or growth would run away.
#[test]
fn many_random_keys_take_no_more_memory_than_they_must() {
    let mut reclaimer = Reclaimer::new(Domain::new(1));
    let mut writer = FibWriter::new(usize::MAX);
    let entries = 3 << 17;
    for key in 0..entries {
        writer.insert(mac(key * 0x9e37_79b9), Entry::new(1, 1, 0), &mut reclaimer).unwrap();
        reclaimer.reclaim();
    }
    assert_eq!((writer.learned(), writer.crowded()), (entries as usize, 0));
    assert_eq!(writer.memory(), entries as usize / 3 * 64, "three quarters full");
}
