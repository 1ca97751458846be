//! What a service manager such as systemd is told (sd_notify(3)): ready, stopping, and again and again that all
//! workers make progress. Without one nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;

/// Feeds the manager's watchdog for as long as every worker polls.
pub(super) struct Watchdog {
    is_awaited: bool,
    polls: Vec<u64>,
    stuck: bool,
}

/// Ferry forwards.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Ferry is about to end.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

impl Watchdog {
    /// For a number of workers. `interval` is how often it is called.
    pub fn new(workers: usize, interval: Duration) -> Self {
        let patience = sd_notify::watchdog_enabled();
        if let Some(patience) = patience.filter(|patience| *patience < 2 * interval) {
            tracing::warn!(
                "the service's watchdog waits {patience:?}, and is fed every {interval:?}: raise WatchdogSec"
            );
        }
        Self { is_awaited: patience.is_some(), polls: vec![0; workers], stuck: false }
    }

    /// Compares the rounds that workers have made with those at the last call; a worker that made none since is stuck,
    /// and the watchdog goes hungry.
    pub fn look(&mut self, polls: impl IntoIterator<Item = u64>) {
        let stuck = self.stuck_worker(polls);
        match stuck {
            Some(worker) if !self.stuck => tracing::error!("worker {worker} makes no progress"),
            None if self.stuck => tracing::info!("all workers make progress again"),
            None if self.is_awaited => send(&[NotifyState::Watchdog]),
            _ => {}
        }
        self.stuck = stuck.is_some();
    }

    fn stuck_worker(&mut self, polls: impl IntoIterator<Item = u64>) -> Option<usize> {
        let mut stuck = None;
        for (worker, (before, now)) in self.polls.iter_mut().zip(polls).enumerate() {
            if *before == now {
                stuck.get_or_insert(worker);
            }
            *before = now;
        }
        stuck
    }
}

fn send(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told {state:?}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_makes_no_round_is_stuck() {
        let mut watchdog = Watchdog { is_awaited: false, polls: vec![0; 3], stuck: false };
        assert_eq!(watchdog.stuck_worker([5, 1, 7]), None);
        assert_eq!(watchdog.stuck_worker([6, 1, 7]), Some(1), "the first of two");
        assert_eq!(watchdog.stuck_worker([7, 2, 8]), None);
    }
}
