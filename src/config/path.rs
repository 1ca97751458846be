//! What this VTEP makes of the underlay's paths.

use std::time::Duration;

use super::item::{Item, Keys};
use super::scalar;

/// For how long a router's word on what a path carries is taken (RFC 1191 section 6.3).
pub(super) const PATH_MTU_AGEING: Duration = Duration::from_secs(600);

pub(super) const PATH_MTU: Keys = Keys { known: &["ageing"], later: &[] };

/// Reads a `path_mtu` key: for how long routers' words are taken, if at all.
pub(super) fn path_mtu(item: &Item<'_>) -> Option<Option<Duration>> {
    match item.as_text() {
        Some("learn") => return Some(Some(PATH_MTU_AGEING)),
        Some("ignore") => return Some(None),
        Some(_) => return item.expected("'learn', 'ignore' or a mapping with the key ageing"),
        None => {}
    }
    let fields = item.fields(&PATH_MTU)?;
    fields
        .or("ageing", PATH_MTU_AGEING, |item| scalar::interval(&item, ["1s", "9h"], "10m"))
        .map(Some)
}
