//! The table beside a map, under readers, and how large it gets.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use crate::fib::{Domain, Reclaimer};
use crate::neighbours::{Address, Binding, Kind, NeighbourWriter, Refused};
use crate::wire::MacAddr;

fn address(number: u32) -> Address {
    let ip = Ipv4Addr::from(0x0a00_0000 + number / 2);
    let ip = if number.is_multiple_of(2) { ip.into() } else { ip.to_ipv6_compatible().into() };
    Address::of_station(ip).unwrap()
}

fn binding(number: u32, kind: Kind) -> Binding {
    let [a, b, c, d] = number.to_be_bytes();
    Binding { mac: MacAddr([2, 0, a, b, c, d]), kind, router: number.is_multiple_of(3) }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, u32, bool),
    Remove(u32),
    Age(u16),
    Quiescent,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..60u32, any::<u32>(), any::<bool>()).prop_map(|(a, m, s)| Step::Insert(a, m, s)),
        2 => (0..60u32).prop_map(Step::Remove),
        1 => (0..200u16).prop_map(Step::Age),
        1 => Just(Step::Quiescent),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Readers and the writer say at every step what a map says, whatever is used again.
    #[test]
    fn a_table_is_a_map(steps in steps()) {
        const LIMIT: usize = 24;
        let domain = Domain::new(1);
        let mut reader = domain.register().unwrap();
        let mut reclaimer = Reclaimer::new(domain);
        let mut writer = NeighbourWriter::new(LIMIT);
        let shared = writer.shared();
        let mut model: HashMap<u32, (Binding, u16)> = HashMap::new();
        let learned = |model: &HashMap<u32, (Binding, u16)>| {
            model.values().filter(|(binding, _)| binding.kind != Kind::Static).count()
        };
        for (tick, step) in (0u16..).zip(steps) {
            match step {
                Step::Insert(number, mac, fixed) => {
                    let new = binding(mac, if fixed { Kind::Static } else { Kind::Arp });
                    let was_learned = model.get(&number).is_some_and(|(old, _)| old.kind != Kind::Static);
                    let full = !fixed && !was_learned && learned(&model) >= LIMIT;
                    let taken = writer.insert(address(number), new, tick, &mut reclaimer);
                    prop_assert_eq!(taken, if full { Err(Refused::LimitReached(LIMIT)) } else { Ok(()) });
                    if !full {
                        model.insert(number, (new, tick));
                    }
                }
                Step::Remove(number) => {
                    let removed = model.remove(&number).map(|(binding, _)| binding);
                    prop_assert_eq!(writer.remove(address(number)), removed);
                }
                Step::Age(oldest) => {
                    let keeps = |fixed: bool, heard: u16| fixed || heard >= oldest;
                    while !writer.sweep(4, &mut reclaimer, |entry| keeps(entry.is_static(), entry.tick())) {}
                    model.retain(|_, (binding, heard)| keeps(binding.kind == Kind::Static, *heard));
                }
                Step::Quiescent => reader.quiescent(),
            }
            writer.reclaim(&mut reclaimer);
            reclaimer.reclaim();
            for number in 0..60 {
                let expected = model.get(&number).map(|(binding, _)| *binding);
                let found = shared.find(address(number), &reader).map(|known| known.binding);
                prop_assert_eq!(found, expected, "{}", number);
                prop_assert_eq!(writer.get(address(number)), expected);
            }
            prop_assert_eq!(writer.learned() + writer.fixed(), model.len());
        }
        let (all, next) = writer.page(0, usize::MAX);
        prop_assert_eq!((all.len(), next), (model.len(), None));
    }
}

/// Each MAC says which address it belongs to: no reader may ever see another's.
#[test]
fn readers_never_see_another_address_s_mac() {
    const ADDRESSES: u32 = 512;
    let domain = Domain::new(2);
    let mut writer = NeighbourWriter::new(usize::MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let readers = [0, 1].map(|_| {
        let (mut reader, shared, stop) =
            (domain.register().unwrap(), writer.shared(), stop.clone());
        std::thread::spawn(move || {
            let mut found = 0u64;
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..32 {
                    number = (number + 7) % ADDRESSES;
                    if let Some(known) = shared.find(address(number), &reader) {
                        let [.., a, b, c, d] = known.binding.mac.0;
                        assert_eq!(u32::from_be_bytes([a, b, c, d]) % ADDRESSES, number);
                        found += 1;
                    }
                }
                reader.quiescent();
            }
            found
        })
    });
    let mut reclaimer = Reclaimer::new(domain);
    let end = std::time::Instant::now() + std::time::Duration::from_millis(500);
    let mut round = 0u32;
    while std::time::Instant::now() < end {
        for step in 0..64 {
            let number = (round.wrapping_mul(31) + step * 5) % ADDRESSES;
            if (round + step).is_multiple_of(3) {
                writer.remove(address(number));
            } else {
                let mac = number + ADDRESSES * (round % 1000);
                writer.insert(address(number), binding(mac, Kind::Nd), 0, &mut reclaimer).unwrap();
            }
        }
        writer.reclaim(&mut reclaimer);
        reclaimer.reclaim();
        round += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() > 1000);
    }
}

#[test]
fn a_hundred_thousand_bindings_fit_sixteen_mebibytes() {
    let domain = Domain::new(1);
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = NeighbourWriter::new(100_000);
    for number in 0..100_000 {
        writer.insert(address(number), binding(number, Kind::Arp), 0, &mut reclaimer).unwrap();
        reclaimer.reclaim();
    }
    assert_eq!(writer.learned(), 100_000);
    assert!(writer.memory() < 16 << 20, "{} bytes", writer.memory());
}

#[test]
fn what_comes_and_goes_for_ever_takes_no_more_memory() {
    let domain = Domain::new(1);
    let mut reader = domain.register().unwrap();
    let mut reclaimer = Reclaimer::new(domain);
    let mut writer = NeighbourWriter::new(1000);
    let mut most = 0;
    for number in 0..100_000 {
        writer.insert(address(number), binding(number, Kind::Arp), 0, &mut reclaimer).unwrap();
        if number >= 500 {
            writer.remove(address(number - 500)).unwrap();
        }
        if number.is_multiple_of(50) {
            reader.quiescent();
            writer.reclaim(&mut reclaimer);
            reclaimer.reclaim();
        }
        if number == 5_000 {
            most = writer.memory();
        }
    }
    assert_eq!(writer.memory(), most);
}
