//! Frames from access ports: which network they belong to.

use super::context::Context;
use super::forward::{Classifier, Lanes, forward};
use super::output::pop_tag;
use super::snapshot::{AccessPort, Attachment, Snapshot};
use crate::dpdk::{Burst, Mbuf, sift_ahead};
use crate::drop_reason::DropReason;
use crate::fib::{MacKey, Reader};
use crate::wire::ethernet::{self, ethertype::VLAN, is_tag};

const VLAN_ID: u16 = 0x0fff;

/// Classifies a burst from one access port, and forwards it. Returns its bytes.
#[inline(never)]
pub(super) fn process<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    index: u16,
    port: &AccessPort,
    burst: &mut Burst,
) -> u64 {
    let mut lanes = Lanes::new();
    let mut classifier = Classifier::new(reader, snapshot);
    let peek = |frame: &Mbuf| prefetch_network(snapshot, port, frame);
    let bytes = sift_ahead(burst, peek, |mut frame| {
        let classified = classify(snapshot, port, &mut frame).and_then(|class| {
            let inner = is_tag(class.ethertype);
            classifier.lane(class.ingress, class.source, class.destination, inner)
        });
        match classified {
            Ok(lane) => lanes.push(lane),
            Err(reason) => {
                context.drop(index, frame, reason);
                return None;
            }
        }
        Some(frame)
    });
    if port.takes_unfinished {
        forward::<false, true>(context, reader, snapshot, index, burst, &mut lanes);
    } else {
        forward::<false, false>(context, reader, snapshot, index, burst, &mut lanes);
    }
    bytes
}

/// On a trunk each frame may be of another network.
#[inline(always)]
fn prefetch_network(snapshot: &Snapshot, port: &AccessPort, frame: &Mbuf) {
    let Some(vlans) = &port.vlans else { return };
    if let Some(header) = frame.data().first_chunk::<16>() {
        let id = u16::from_be_bytes([header[14], header[15]]) & VLAN_ID;
        let network = vlans[usize::from(id)].network();
        if let Some(network) = snapshot.networks.get(network as usize) {
            network.fib.prefetch();
        }
    }
}

struct Class {
    ingress: Attachment,
    source: MacKey,
    destination: MacKey,
    ethertype: u16,
}

/// Finds where a frame comes from, and takes away the VLAN tag that says it.
#[inline(always)]
fn classify(snapshot: &Snapshot, port: &AccessPort, frame: &mut Mbuf) -> Result<Class, DropReason> {
    let header: &[u8; ethernet::LENGTH] =
        frame.data().first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    let (destination, source) = MacKey::pair(header);
    let mut ethertype = u16::from_be_bytes([header[12], header[13]]);
    let mut ingress = port.untagged;
    if ethertype == VLAN {
        let tagged: &[u8; ethernet::LENGTH + 4] =
            frame.data().first_chunk().ok_or(DropReason::TruncatedVlan)?;
        let id = u16::from_be_bytes([tagged[14], tagged[15]]) & VLAN_ID;
        ethertype = u16::from_be_bytes([tagged[16], tagged[17]]);
        let mapped = match &port.vlans {
            // A tag with ID 0 carries a priority only (IEEE 802.1Q section 6.9).
            _ if id == 0 => port.untagged,
            Some(vlans) => vlans[usize::from(id)],
            None => Attachment::NONE,
        };
        if mapped != Attachment::NONE {
            pop_tag(frame)?;
            ingress = mapped;
        } else if keeps_tags(snapshot, port) {
            ethertype = VLAN;
        } else {
            return Err(DropReason::VlanUnmapped);
        }
    }
    if ingress == Attachment::NONE {
        return Err(DropReason::VlanUnmapped);
    }
    Ok(Class { ingress, source, destination, ethertype })
}

/// Whether tagged frames that no VLAN of the port maps belong to the untagged network, tag and all.
#[cold]
fn keeps_tags(snapshot: &Snapshot, port: &AccessPort) -> bool {
    let network = snapshot.networks.get(port.untagged.network() as usize);
    port.vlans.is_none() && network.is_some_and(|network| network.keeps_inner_vlan)
}
