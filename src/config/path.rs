//! What this VTEP makes of the underlay's paths.

use std::time::Duration;

use super::item::Item;
use super::keys::underlay::{FRAGMENTS, PATH_MTU};
use super::scalar;

/// For how long a router's word on what a path carries is taken (RFC 1191 section 6.3).
pub(super) const PATH_MTU_AGEING: Duration = Duration::from_secs(600);

/// Reads a `path_mtu` key: for how long routers' words are taken, if at all.
pub(super) fn path_mtu(item: &Item<'_>) -> Option<Option<Duration>> {
    match item.as_text() {
        Some("learn") => return Some(Some(PATH_MTU_AGEING)),
        Some("ignore") => return Some(None),
        Some(_) => return item.expected("'learn', 'ignore' or a mapping with the key ageing"),
        None => {}
    }
    let fields = item.fields(&PATH_MTU)?;
    fields.or("ageing", PATH_MTU_AGEING, |item| scalar::interval(&item, "10m")).map(Some)
}

/// How tunnel packets that come in fragments are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reassembly {
    /// Packets that each worker puts together at once.
    pub packets: u16,
    /// How long their fragments may take.
    pub timeout: Duration,
}

impl Default for Reassembly {
    fn default() -> Self {
        Self { packets: 256, timeout: Duration::from_secs(2) }
    }
}

/// Reads a `fragments` key: how they are put together, if they are.
pub(super) fn fragments(item: &Item<'_>) -> Option<Option<Reassembly>> {
    match item.as_text() {
        Some("drop") => return Some(None),
        Some("reassemble") => return Some(Some(Reassembly::default())),
        Some(_) => {
            return item
                .expected("'drop', 'reassemble' or a mapping with the keys packets, timeout");
        }
        None => {}
    }
    let usual = Reassembly::default();
    let fields = item.fields(&FRAGMENTS)?;
    let packets = fields.or("packets", usual.packets, |item| item.number());
    let timeout = fields.or("timeout", usual.timeout, |item| scalar::interval(&item, "2s"));
    Some(Some(Reassembly { packets: packets?, timeout: timeout? }))
}
