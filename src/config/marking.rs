//! What outer IP headers say: DSCP and time to live.

use super::item::Item;
use crate::tunnel::{Dscp, Ttl};

pub(super) fn dscp(item: &Item<'_>) -> Option<Dscp> {
    match item.as_text() {
        Some("copy") => Some(Dscp::Copy),
        Some("priority") => Some(Dscp::Priority),
        _ => item.number_or("'copy', 'priority'").map(Dscp::Fixed),
    }
}

pub(super) fn ttl(item: &Item<'_>) -> Option<Ttl> {
    match item.as_text() {
        Some("inherit") => Some(Ttl::Inherit),
        _ => item.number_or("'inherit'").map(Ttl::Fixed),
    }
}
