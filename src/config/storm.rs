//! Storm control: how much of what is flooded a port or a network may send.

use super::item::Item;
use super::keys::access::STORM_CONTROL;

/// Limits in packets a second; what has none is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StormControl {
    /// Of frames to ff:ff:ff:ff:ff:ff.
    pub broadcast: Option<u32>,
    /// Of frames to other group addresses.
    pub multicast: Option<u32>,
    /// Of frames to a MAC that is not known.
    pub unknown_unicast: Option<u32>,
    /// Packets that may come at once; `None`: a tenth of a second's, and at least one.
    pub burst: Option<u32>,
}

/// Reads a `storm_control` key.
pub(super) fn storm_control(item: &Item<'_>) -> Option<Option<StormControl>> {
    let fields = item.fields(&STORM_CONTROL)?;
    let limit = |key| fields.or(key, None, |item| item.number().map(Some));
    let (broadcast, multicast) = (limit("broadcast"), limit("multicast"));
    let unknown_unicast = limit("unknown_unicast");
    let burst = fields.or("burst", None, |item| item.number().map(Some));
    let limits = StormControl {
        broadcast: broadcast?,
        multicast: multicast?,
        unknown_unicast: unknown_unicast?,
        burst: burst?,
    };
    if let StormControl { broadcast: None, multicast: None, unknown_unicast: None, .. } = limits {
        item.warn(
            "no limit is given; add broadcast, multicast or unknown_unicast, in packets a second",
        );
    }
    Some(Some(limits))
}
