//! Frames from access ports: which network they belong to.

use hashbrown::HashMap;

use super::context::Context;
use super::forward::{Classifier, Lanes, forward};
use super::output::pop_tags;
use super::snapshot::{AccessPort, Attachment, Snapshot};
use crate::dpdk::{Burst, Mbuf, sift_ahead};
use crate::drop_reason::DropReason;
use crate::fib::{MacKey, Reader};
use crate::wire::Vlan;
use crate::wire::ethernet::{self, ethertype::VLAN, is_tag};

const VLAN_ID: u16 = 0x0fff;
/// Where the EtherType is of a frame with two tags.
const PAIR_ETHERTYPE: usize = ethernet::LENGTH + 2 * size_of::<ethernet::Tag>() - 2;

/// Classifies a burst from one access port, and forwards it. Returns its bytes.
#[inline(never)]
pub(super) fn process<'r>(
    context: &mut Context,
    reader: &'r Reader,
    snapshot: &'r Snapshot,
    (index, port): (u16, &AccessPort),
    burst: &mut Burst,
    observe: impl FnOnce(&Lanes<'r>),
) -> u64 {
    let mut lanes = Lanes::new();
    let mut classifier = Classifier::new(reader, snapshot);
    let peek = |frame: &Mbuf| prefetch_network(snapshot, port, frame);
    let bytes = sift_ahead(burst, peek, |mut frame| {
        let classified = classify(snapshot, port, &mut frame).and_then(|class| {
            classifier.lane(class.ingress, class.source, class.destination, class.tagged)
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
    observe(&lanes);
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
    /// Whether a VLAN tag is left.
    tagged: bool,
}

/// Finds where a frame comes from, and takes away the VLAN tags that say it.
#[inline(always)]
fn classify(snapshot: &Snapshot, port: &AccessPort, frame: &mut Mbuf) -> Result<Class, DropReason> {
    let header: &[u8; ethernet::LENGTH] =
        frame.data().first_chunk().ok_or(DropReason::TruncatedEthernet)?;
    let (destination, source) = MacKey::pair(header);
    let ethertype = u16::from_be_bytes([header[12], header[13]]);
    let mut ingress = port.untagged;
    let mut tagged = is_tag(ethertype);
    if tagged {
        let tag: &[u8; ethernet::LENGTH + 4] =
            frame.data().first_chunk().ok_or(DropReason::TruncatedVlan)?;
        let control = u16::from_be_bytes([tag[14], tag[15]]);
        let behind = u16::from_be_bytes([tag[16], tag[17]]);
        let id = control & VLAN_ID;
        let mapped = match &port.vlans {
            // Only two tags together tell a network.
            _ if ethertype != VLAN => Attachment::NONE,
            // A tag with ID 0 carries a priority only (IEEE 802.1Q section 6.9).
            _ if id == 0 => port.untagged,
            Some(vlans) => vlans[usize::from(id)],
            None => Attachment::NONE,
        };
        if let Some((pair, left)) = pair_of(port, frame) {
            pop_tags::<2>(frame, control)?;
            (ingress, tagged) = (pair, left);
        } else if mapped != Attachment::NONE {
            pop_tags::<1>(frame, control)?;
            (ingress, tagged) = (mapped, is_tag(behind));
        } else if port.pairs.is_some() || ethertype == VLAN && !keeps_tags(snapshot, port) {
            return Err(DropReason::VlanUnmapped);
        }
    }
    if ingress == Attachment::NONE {
        return Err(DropReason::VlanUnmapped);
    }
    Ok(Class { ingress, source, destination, tagged })
}

/// The network that a frame's two tags tell, and whether a third one is left.
#[inline(always)]
fn pair_of(port: &AccessPort, frame: &Mbuf) -> Option<(Attachment, bool)> {
    find_pair(port.pairs.as_ref()?, frame.data())
}

#[inline(never)]
fn find_pair(pairs: &HashMap<Vlan, Attachment>, frame: &[u8]) -> Option<(Attachment, bool)> {
    let attachment = *pairs.get(&Vlan::pair_of(frame)?)?;
    let behind = frame.get(PAIR_ETHERTYPE..)?.first_chunk()?;
    Some((attachment, is_tag(u16::from_be_bytes(*behind))))
}

/// Whether tagged frames that no VLAN of the port maps belong to the untagged network, tag and all.
#[cold]
fn keeps_tags(snapshot: &Snapshot, port: &AccessPort) -> bool {
    let network = snapshot.networks.get(port.untagged.network() as usize);
    port.vlans.is_none() && network.is_some_and(|network| network.keeps_inner_vlan)
}
