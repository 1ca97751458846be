//! Where VMs, containers and VLANs attach.

use super::Kind::{Boolean, List, Mapping, Number, Words};
use super::{DEVICE, Key, Keys, MANY, NAME, RATE};

pub(in crate::config) static ACCESS: Keys =
    Keys::of(&[Key::new("ports", List(&Mapping(&ACCESS_PORT), 0, MANY))
        .or("[]")
        .says("The access ports. One that no network uses gets a warning.")]);

pub(in crate::config) static ACCESS_PORT: Keys = Keys::of(&[
    Key::new("name", NAME)
        .required()
        .like("vm1")
        .says("As for underlay ports; both kinds share their names."),
    Key::new("device", DEVICE)
        .required()
        .like("\"net_tap0,iface=vm1\"")
        .says("The device, verbatim."),
    Key::new("queues", Number(1, 64, "")).or("1").like("2").says("RX queues."),
    Key::new("mtu", Number(68, 9600, "bytes")).or("1500").like("1450").says(
        "Largest packet, without Ethernet header, VLAN tag and CRC. One that is given, \
         and is more than a network of the port carries, gets a warning.",
    ),
    Key::new("rx_descriptors", Number(32, 32_768, ""))
        .otherwise("Ferry's choice")
        .like("1024")
        .says("Packets that an RX queue holds."),
    Key::new("tx_descriptors", Number(32, 32_768, ""))
        .otherwise("Ferry's choice")
        .like("1024")
        .says("Packets that a TX queue holds."),
    Key::new("offloads", Words(&["on", "checksums", "off"])).or("on").like("checksums").says(
        "What a guest on a vhost-user port may leave to its device, and takes \
         unfinished; of other ports, what the device is given to finish.",
    ),
    Key::new("promiscuous", Boolean).or("true").like("false").says(
        "Have the device take frames for any MAC. With `false`, or where it refuses, \
         as an SR-IOV VF does that its host does not trust, it is told for which: the \
         MACs of the port's networks that are behind other ports and peers.",
    ),
    Key::new("storm_control", Mapping(&STORM_CONTROL))
        .otherwise("no limits")
        .like("{broadcast: 1000}")
        .says("How much of what this port sends is flooded, see `networks[].storm_control`."),
]);

pub(in crate::config) static STORM_CONTROL: Keys = Keys::of(&[
    Key::new("broadcast", RATE)
        .otherwise("no limit")
        .like("1000")
        .says("Broadcasts that may be flooded."),
    Key::new("multicast", RATE).otherwise("no limit").like("1000").says("The same of multicast."),
    Key::new("unknown_unicast", RATE)
        .otherwise("no limit")
        .like("0")
        .says("The same of frames to a MAC that is not known. `0`: only to known MACs."),
    Key::new("burst", Number(1, 1_000_000, "packets"))
        .otherwise("a tenth of a second's")
        .like("32")
        .says("What of each kind may come at once."),
]);
