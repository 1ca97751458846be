//! What a worker does when nothing arrives.

use std::time::Duration;

use crate::fib::Reader;

/// The idle policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Keep polling: for dedicated cores.
    Spin,
    /// Let other threads run between polls: for shared cores.
    Yield,
    /// Sleep up to a millisecond after a while without traffic: for laptops, CI and quiet hosts.
    Sleep,
}

/// Empty rounds before a worker yields or sleeps.
const PATIENCE: u32 = 256;
/// Longest sleep: it bounds the latency of the first packet after a pause.
const LONGEST: Duration = Duration::from_millis(1);
const SHORTEST: Duration = Duration::from_micros(20);

/// Follows the policy through a run of empty rounds.
pub(super) struct Idler {
    policy: Idle,
    empty: u32,
    sleep: Duration,
}

impl Idler {
    pub fn new(policy: Idle) -> Self {
        Self { policy, empty: 0, sleep: SHORTEST }
    }

    /// After a round that did something.
    #[inline(always)]
    pub fn active(&mut self) {
        self.empty = 0;
        self.sleep = SHORTEST;
    }

    /// After a round that did nothing. A sleeping reader is offline, so that nobody waits for it.
    #[inline]
    pub fn empty(&mut self, reader: &mut Reader) {
        self.empty = self.empty.saturating_add(1);
        if self.empty < PATIENCE {
            std::hint::spin_loop();
            return;
        }
        match self.policy {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Sleep => {
                reader.offline();
                std::thread::sleep(self.sleep);
                reader.online();
                self.sleep = (self.sleep * 2).min(LONGEST);
            }
        }
    }
}
