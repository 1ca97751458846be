//! The coarse clock that ages MACs: seconds that wrap.

use std::time::Duration;

/// Seconds since start, modulo 65,536. Ages are exact up to nine hours, the longest that the configuration
/// allows.
pub type Tick = u16;

/// Seconds since start, which do not wrap: 136 years.
pub type Seconds = u32;

/// One tick.
pub const TICK: Duration = Duration::from_secs(1);

/// A duration in ticks, rounded up.
pub fn ticks(duration: Duration) -> Tick {
    Tick::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(Tick::MAX / 2)
}
