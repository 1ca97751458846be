//! VLANs of ports.

use super::item::Fields;
use crate::wire::Vlan;
use crate::wire::ethernet::ethertype;

/// The keys of a mapping that names a VLAN.
pub(super) const KEYS: [&str; 3] = ["vlan", "inner_vlan", "tpid"];

/// Reads these keys; `Some(None)`: untagged frames.
pub(super) fn read(fields: &Fields<'_>) -> Option<Option<Vlan>> {
    let id = |key| fields.or(key, None, |item| item.number().map(Some));
    let (outer, inner) = (id("vlan"), id("inner_vlan"));
    let tpid = fields.or("tpid", ethertype::SERVICE_VLAN, |item| {
        let choices = [ethertype::SERVICE_VLAN, ethertype::VLAN];
        let given = item.as_number(0..=0xffff).filter(|given| choices.contains(given));
        given.or_else(|| item.expected("0x88a8 (802.1ad) or 0x8100 (802.1Q)"))
    });
    let (outer, inner, tpid) = (outer?, inner?, tpid?);
    match (outer, inner) {
        (None, Some(_)) if !fields.is_misspelt("vlan") => {
            fields
                .get("inner_vlan")?
                .error("an inner VLAN lies in an outer one; add 'vlan', the outer one");
            None
        }
        (Some(outer), Some(inner)) => Some(Some(Vlan::Pair { tpid, outer, inner })),
        (_, None) if fields.get("tpid").is_some() && !fields.is_misspelt("inner_vlan") => {
            fields
                .get("tpid")?
                .error("this is said of the outer of two tags; add 'inner_vlan' or remove 'tpid'");
            None
        }
        (single, _) => Some(single.map(Vlan::Single)),
    }
}
