//! The physical network.

use super::Kind::{Duration, Either, List, Mapping, Number, Words};
use super::{
    DEVICE, DSCP, DURATION, INTERFACE, INTERFACE_ADDRESS, IP, IPV4, IPV6, Key, Keys, MAC_ADDRESS,
    MANY, NAME, TTL, UDP_PORT,
};
use crate::worker::MOST_PACKETS;

pub(in crate::config) static UNDERLAY: Keys = Keys::of(&[
    Key::new("ports", List(&Mapping(&PORT), 1, MANY))
        .required()
        .says("Ports towards the other VTEPs."),
    Key::new("vtep", Mapping(&VTEP))
        .required()
        .like("{ipv4: 192.0.2.1}")
        .says("This tunnel endpoint."),
    Key::new("neighbours", List(&Mapping(&NEIGHBOUR), 0, MANY))
        .or("[]")
        .says("Next hops on ports without a twin."),
]);

pub(in crate::config) static PORT: Keys = Keys::with_one_of(
    &["device", "bond"],
    &[
        Key::new("name", NAME).required().like("up0").says(
            "What the port is called, unique among all ports of the file: 1 to 63 letters, \
             digits, `-`, `_`, `.`.",
        ),
        Key::new("device", DEVICE)
            .otherwise("required without `bond`")
            .like("\"0000:3b:00.0\"")
            .says("The device, verbatim. No two ports share one, nor an `iface=`."),
        Key::new("bond", Mapping(&BOND))
            .like("{mode: lacp, members: [\"0000:3b:00.0\", \"0000:3b:00.1\"]}")
            .says("Instead of `device`: several devices that are one port."),
        Key::new("queues", Number(1, 64, ""))
            .or("1")
            .like("4")
            .says("RX queues. Several need a device that spreads flows by RSS."),
        Key::new("twin", INTERFACE).like("ferry-up0").says(
            "A Linux interface for everything that is no tunnel traffic: ARP, ping, ssh, \
             routing daemons. With a twin the kernel resolves next hops.",
        ),
        Key::new("addresses", List(&INTERFACE_ADDRESS, 0, MANY))
            .or("[]")
            .like("[192.0.2.1/24]")
            .says("Put on the twin at start. Without them, set addresses with ip(8)."),
        Key::new("mtu", Number(68, 9600, "bytes")).or("1500").like("1600").says(
            "Largest packet, without Ethernet header, VLAN tag and CRC. VXLAN over IPv4 \
             adds 50 bytes to a tenant's frame (14 of them its Ethernet header), so 1500 \
             carries a tenant's 1450; NVGRE adds 42, GRE 38 to 50; IPv6 20 more. `ferry \
             show networks` and `peers` say what is left, and `networks[].oversize` what \
             becomes of the rest.",
        ),
        Key::new("rx_descriptors", Number(32, 32_768, ""))
            .otherwise("Ferry's choice")
            .like("2048")
            .says("Packets that an RX queue holds."),
        Key::new("tx_descriptors", Number(32, 32_768, ""))
            .otherwise("Ferry's choice")
            .like("2048")
            .says("Packets that a TX queue holds."),
        Key::new("offloads", Words(&["on", "checksums", "off"])).or("on").like("off").says(
            "What guests left to their device and the NIC is given to finish, if it is \
             able to.",
        ),
    ],
);

pub(in crate::config) static BOND: Keys = Keys::of(&[
    Key::new("mode", Words(&["active-backup", "lacp"])).required().like("lacp").says(
        "`active-backup`: the first member that has a link works. `lacp`: all work \
         that the switch agrees on (IEEE 802.1AX), and flows are spread over them by \
         outer addresses and ports; the ports of the switch must form one aggregation \
         group.",
    ),
    Key::new("members", List(&DEVICE, 1, 8))
        .required()
        .like("[\"0000:3b:00.0\", \"0000:3b:00.1\"]")
        .says(
            "As `device`. They should be of one kind: the port can do what all of them \
             can.",
        ),
]);

pub(in crate::config) static VTEP: Keys = Keys::with_one_of(
    &["ipv4", "ipv6"],
    &[
        Key::new("ipv4", IPV4)
            .otherwise("none; one of `ipv4` and `ipv6` is required")
            .like("192.0.2.1")
            .says(
                "Source of what is sent to IPv4 peers, destination of what is decapsulated. If \
                 a twin is given `addresses`, this is one of them.",
            ),
        Key::new("ipv6", IPV6).like("\"2001:db8::1\"").says(
            "The same for IPv6. Both may be given: peers of one network may be of either \
             family.",
        ),
        Key::new("vxlan_port", UDP_PORT)
            .or("4789")
            .like("8472")
            .says("Where VXLAN arrives, and where peers are sent to unless they name their own."),
        Key::new("reserved_bits", Words(&["ignore", "drop"])).or("ignore").like("drop").says(
            "VXLAN packets with a reserved bit set: taken, as RFC 7348 section 5 says, or \
             dropped, as Linux does since 6.14.",
        ),
        Key::new("udp6_zero_checksum", Words(&["drop", "accept"])).or("drop").like("accept").says(
            "VXLAN over IPv6 without a UDP checksum, which RFC 6935 allows between tunnel \
             ends that agree on it.",
        ),
        Key::new("path_mtu", Either(&[Words(&["learn", "ignore"]), Mapping(&PATH_MTU)]))
            .or("learn")
            .like("ignore")
            .says(
                "Whether routers are believed that say of a tunnel packet that it is too big \
                 (RFC 1191, RFC 8201). Then the peer it was for gets no longer ones, and what \
                 does not fit is treated as if the port's MTU were less.",
            ),
        Key::new("dscp", DSCP).or("0").like("copy").says(
            "DSCP of outer headers: the same for all; that of the packet within, so that \
             the underlay serves tenants' packets as these ask for; or by the priority of \
             the VLAN tag that the frame had at its port, the class selectors CS0 (none) to \
             CS7.",
        ),
        Key::new("ttl", TTL).or("64").like("255").says(
            "Their time to live (over IPv6 the hop limit), or that of the packet within: \
             then what a tenant sends with 1 gets over no router of the underlay.",
        ),
        Key::new("fragments", Either(&[Words(&["drop", "reassemble"]), Mapping(&FRAGMENTS)]))
            .or("drop")
            .like("reassemble")
            .says(
                "What happens to tunnel packets that come in IP fragments: dropped \
                 (`fragment`), or put together and then taken like any other.",
            ),
    ],
);

pub(in crate::config) static PATH_MTU: Keys = Keys::of(&[Key::new("ageing", DURATION)
    .or("10m")
    .like("30m")
    .says("How long that is believed. Then the port's MTU is tried again.")]);

pub(in crate::config) static FRAGMENTS: Keys = Keys::of(&[
    Key::new("packets", Number(1, MOST_PACKETS as i64, "")).or("256").like("64").says(
        "Packets that each worker puts together at once. Of more, the oldest are given \
         up (`fragment_overflow`).",
    ),
    Key::new("timeout", Duration("1s", "60s")).or("2s").like("5s").says(
        "How long a packet waits for all of its fragments (`fragment_timeout`), to a \
         second.",
    ),
]);

pub(in crate::config) static NEIGHBOUR: Keys = Keys::of(&[
    Key::new("ip", IP).required().like("192.0.2.9").says("The peer."),
    Key::new("mac", MAC_ADDRESS)
        .required()
        .like("\"02:00:00:00:00:09\"")
        .says("Destination MAC of what is sent there."),
    Key::new("port", NAME).required().like("up1").says("The port to send by; one without a twin."),
]);
