//! Devices that do not take frames for any MAC: SR-IOV VFs whose host does not let them. They are told for which they shall.

use hashbrown::HashSet;

use crate::dpdk::Port;
use crate::wire::MacAddr;

/// What one device was told.
#[derive(Default)]
pub struct Filter {
    told: HashSet<MacAddr>,
    refused: usize,
    /// The device has refused one, and has let none go since.
    is_full: bool,
}

/// A device with a unicast filter.
pub trait Device {
    /// Has it take frames for a MAC; `false` if it cannot.
    fn take(&self, mac: MacAddr) -> bool;
    /// Has it take them no longer.
    fn leave(&self, mac: MacAddr);
}

impl Device for Port {
    fn take(&self, mac: MacAddr) -> bool {
        self.add_mac(mac.0).inspect_err(|error| tracing::debug!("{error}")).is_ok()
    }

    fn leave(&self, mac: MacAddr) {
        self.remove_mac(mac.0);
    }
}

impl Filter {
    /// How many MACs it takes frames for.
    pub fn count(&self) -> usize {
        self.told.len()
    }

    /// How many it should take frames for and does not.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Has the device take frames for these MACs and for no others, as far as there is room; those that it takes already
    /// stay. Returns whether it begins to refuse some.
    pub fn set(&mut self, device: &impl Device, room: usize, wanted: &HashSet<MacAddr>) -> bool {
        for gone in self.told.extract_if(|mac| !wanted.contains(mac)) {
            device.leave(gone);
            self.is_full = false;
        }
        let mut refused = 0;
        for mac in wanted {
            if self.told.contains(mac) {
                continue;
            }
            self.is_full = self.is_full || self.told.len() >= room || !device.take(*mac);
            if self.is_full {
                refused += 1;
            } else {
                self.told.insert(*mac);
            }
        }
        std::mem::replace(&mut self.refused, refused) == 0 && refused > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::{Cell, RefCell};

    /// With room for fewer than it says.
    struct Fake {
        room: usize,
        macs: RefCell<HashSet<MacAddr>>,
        asked: Cell<usize>,
    }

    impl Device for Fake {
        fn take(&self, mac: MacAddr) -> bool {
            let mut macs = self.macs.borrow_mut();
            self.asked.set(self.asked.get() + 1);
            assert!(!macs.contains(&mac), "it has that one");
            macs.len() < self.room && macs.insert(mac)
        }

        fn leave(&self, mac: MacAddr) {
            assert!(self.macs.borrow_mut().remove(&mac), "it has not that one");
        }
    }

    fn fake(room: usize) -> Fake {
        Fake { room, macs: RefCell::default(), asked: Cell::new(0) }
    }

    fn macs(numbers: impl IntoIterator<Item = u8>) -> HashSet<MacAddr> {
        numbers.into_iter().map(|number| MacAddr([2, 0, 0, 0, 0, number])).collect()
    }

    proptest! {
        #[test]
        fn it_takes_what_is_wanted_as_far_as_there_is_room(
            steps in proptest::collection::vec(proptest::collection::hash_set(0..20u8, 0..16), 1..20),
            (room, said) in (0..12usize, 0..12usize),
        ) {
            let (device, mut filter) = (fake(room), Filter::default());
            for step in steps {
                let wanted = macs(step);
                let before = device.macs.borrow().clone();
                filter.set(&device, said, &wanted);
                let now = device.macs.borrow();
                prop_assert_eq!(filter.count(), now.len());
                prop_assert_eq!(now.len(), wanted.len().min(room.min(said)));
                prop_assert_eq!(filter.refused(), wanted.len() - now.len());
                prop_assert!(now.is_subset(&wanted));
                prop_assert!(before.intersection(&wanted).all(|mac| now.contains(mac)), "some were taken away");
            }
        }
    }

    #[test]
    fn a_full_device_is_not_asked_again_before_it_has_room() {
        let (device, mut filter) = (fake(2), Filter::default());
        assert!(!filter.set(&device, 8, &macs(0..2)));
        assert!(filter.set(&device, 8, &macs(0..4)), "it begins to refuse");
        let asked = device.asked.get();
        assert!(!filter.set(&device, 8, &macs(0..6)), "it goes on refusing");
        assert_eq!((device.asked.get(), filter.refused()), (asked, 4));
        filter.set(&device, 8, &macs(1..3));
        assert_eq!((filter.count(), filter.refused()), (2, 0));
        assert!(filter.set(&device, 8, &macs(1..4)), "it begins again");
    }
}
