//! Groups of stations, by their place in a network: VXLAN's group policy (draft-smith-vxlan-group-policy).

use super::item::Fields;
use super::scalar::Unique;

/// What is said of groups at a network's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacePolicy {
    /// The group that its stations are of, 1 to 65535.
    pub group: Option<u16>,
    /// The groups whose frames are let in, ascending; zero: senders of none. `None`: all.
    pub accepts: Option<Vec<u16>>,
}

/// Reads the keys `group` and `accept_groups` of a place.
pub(super) fn read(fields: &Fields<'_>) -> Option<PlacePolicy> {
    let group = fields.or("group", None, |item| item.number().map(Some));
    let accepts = fields.or("accept_groups", None, |item| {
        let mut seen = Unique::default();
        let mut groups = item.list_of(|item| {
            let group: u16 = item.number()?;
            if let Some(earlier) = seen.earlier(group, &item.path, &item) {
                item.error(format_args!("{group} is already given by {earlier}; list it once"));
            }
            Some(group)
        })?;
        groups.sort_unstable();
        Some(Some(groups))
    });
    Some(PlacePolicy { group: group?, accepts: accepts? })
}
