//! A question's frame becomes its answer.

use std::net::IpAddr;

use zerocopy::IntoBytes;

use super::address::Address;
use super::record::Binding;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::{MacAddr, arp, ipv6, nd};

/// Writes the answer over the frame in which `asker` asks for the address `asked`, as [`hear`](super::hear) found it, and returns
/// how long it is. It comes from the MAC in question, as the station's own would, so that switches behind the port learn where to
/// send. `None`, and nothing changed, where the frame has no room for it.
pub fn answer(frame: &mut [u8], asker: MacAddr, asked: Address, binding: Binding) -> Option<usize> {
    let header = |ethertype: u16| ethernet::Header {
        destination: asker,
        source: binding.mac,
        ethertype: ethertype.into(),
    };
    let (_, packet) = ethernet::Header::parse(frame).ok()?;
    if asked.is_ipv4() {
        let (request, _) = arp::Packet::parse(packet).ok()?;
        let reply = request.answer(binding.mac);
        write(frame, &header(ethertype::ARP), reply.as_bytes())?;
        // What pads the frame to its least length stays.
        return Some(frame.len());
    }
    let (request, _) = ipv6::Header::parse(packet).ok()?;
    let IpAddr::V6(target) = asked.ip() else { return None };
    let reply = nd::Advertisement::answer(target, binding.mac, binding.router, request.source());
    write(frame, &header(ethertype::IPV6), reply.as_bytes())
}

fn write(frame: &mut [u8], header: &ethernet::Header, packet: &[u8]) -> Option<usize> {
    let length = ethernet::LENGTH + packet.len();
    let (head, body) = frame.get_mut(..length)?.split_at_mut(ethernet::LENGTH);
    head.copy_from_slice(header.as_bytes());
    body.copy_from_slice(packet);
    Some(length)
}
