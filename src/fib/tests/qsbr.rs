//! Reclamation, step by step. `model.rs` checks it under all interleavings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::{Domain, Published, Reclaimer};

struct CountsDrops(Arc<AtomicUsize>);
impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn nothing_is_freed_before_every_online_reader_was_quiescent() {
    let domain = Domain::new(3);
    let mut busy = domain.register().unwrap();
    let mut asleep = domain.register().unwrap();
    asleep.offline();
    let mut reclaimer = Reclaimer::new(domain.clone());
    let drops = Arc::new(AtomicUsize::new(0));
    let published = Published::new(Box::new(CountsDrops(drops.clone())));
    published.publish(Box::new(CountsDrops(drops.clone())), &mut reclaimer);
    assert_eq!(reclaimer.reclaim(), 1);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    busy.quiescent();
    assert_eq!(reclaimer.reclaim(), 0);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    asleep.online();
    published.publish(Box::new(CountsDrops(drops.clone())), &mut reclaimer);
    busy.quiescent();
    assert_eq!(reclaimer.reclaim(), 1, "a reader that came back counts again");
    drop(asleep);
    assert_eq!(reclaimer.reclaim(), 0, "a reader that is gone does not");
}

#[test]
fn slots_are_reused_and_run_out() {
    let domain = Domain::new(1);
    let first = domain.register().unwrap();
    assert!(domain.register().is_err());
    drop(first);
    assert!(domain.register().is_ok());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "is_online")]
fn a_sleeping_reader_may_not_look() {
    let domain = Domain::new(1);
    let mut reader = domain.register().unwrap();
    reader.offline();
    Published::new(Box::new(1)).load(&reader);
}
