//! The tenants' networks.

use super::Kind::{Boolean, Either, List, Mapping, Number, Words};
use super::access::STORM_CONTROL;
use super::multicast::MULTICAST;
use super::{
    DSCP, DURATION, ENCAP, IP, Key, Keys, MAC_ADDRESS, MANY, NAME, POLICY, PREFIX, TPID, TTL,
    UDP_PORT, VLAN,
};

pub(in crate::config) static NETWORK: Keys = Keys::of(&[
    Key::new("vni", Number(1, 16_777_215, ""))
        .required()
        .like("101")
        .says("The network's ID on the wire; unique."),
    Key::new("name", NAME).required().like("tenant-a").says(
        "What it is called; unique. A number only if it is its `vni`, as commands take numbers \
         for VNIs.",
    ),
    Key::new("encap", ENCAP).or("vxlan").like("nvgre").says(
        "What its peers speak, unless one says otherwise: VXLAN (RFC 7348), NVGRE (RFC \
         7637) or Ethernet over GRE (RFC 2784, RFC 2890). The network's ID is VNI, VSID \
         or key.",
    ),
    Key::new("group_policy", Boolean).or("false").like("true").says(
        "Its VXLAN peers, unless one says otherwise, its `flood.group` and the peers that it learns are told of \
         which group the sender of a frame is (`ports[].group`), and tell: VXLAN's group policy \
         (draft-smith-vxlan-group-policy; Linux's `gbp`, Open vSwitch's `exts=gbp`). Without it these bits are \
         reserved ones.",
    ),
    Key::new("ports", List(&Either(&[NAME, Mapping(&MEMBER)]), 0, MANY))
        .or("[]")
        .like("[vm1, {port: trunk0, vlan: 10}]")
        .says(
            "Where the network attaches here: a port's name for its untagged frames, or a \
             port and a VLAN. A port's untagged frames, and each of its VLANs, belong to \
             one network. A network without ports gets a warning.",
        ),
    Key::new("flood", Either(&[Words(&["none"]), Mapping(&FLOOD)]))
        .or("none")
        .like("{peers: [192.0.2.2]}")
        .says(
            "Where broadcast, unknown unicast and multicast go, beside the network's own \
             ports. With `none` nothing goes to the underlay but unicast to MACs that are \
             known to be there.",
        ),
    Key::new("learning", Boolean)
        .or("true")
        .like("false")
        .says("Learn source MACs, from ports and from peers."),
    Key::new("ageing", Either(&[DURATION, Number(0, 0, ""), Words(&["off"])]))
        .or("300s")
        .like("5m")
        .says("How long a learned MAC stays without traffic."),
    Key::new("mac_limit", Number(1, 16_777_216, ""))
        .or("8192")
        .like("65536")
        .says("The most MACs that are learned; frames of further ones still pass."),
    Key::new("mac_move", Either(&[POLICY, Mapping(&MAC_MOVE)]))
        .or("allow")
        .like("local-wins")
        .says("What happens when a MAC that is alive shows up elsewhere."),
    Key::new("inner_vlan", Words(&["drop", "keep"])).or("drop").like("keep").says(
        "What happens to frames that carry a VLAN tag inside of VXLAN. `drop` is RFC \
         7348 section 6.1, and all that NVGRE can do (RFC 7637 section 3.3).",
    ),
    Key::new("vlan_priority", Words(&["none", "dscp"])).or("none").like("dscp").says(
        "What priority the VLAN tags have that frames from tunnels get at this network's ports: 0, or \
         the outer header's DSCP, of which the upper three bits are one (its class selector, RFC 2474 \
         section 4.2.2).",
    ),
    Key::new("arp_suppression", Either(&[Boolean, Mapping(&ARP_SUPPRESSION)]))
        .or("false")
        .like("true")
        .says(
            "Answer ARP requests and neighbour solicitations of stations here, where the \
             answer is known, instead of flooding them.",
        ),
    Key::new("storm_control", Mapping(&STORM_CONTROL))
        .otherwise("no limits")
        .like("{broadcast: 1000, unknown_unicast: 0}")
        .says("How much of what its access ports send is flooded."),
    Key::new("gateway", Either(&[IP, List(&IP, 1, 2)])).like("[10.0.0.254, \"fd00::fe\"]").says(
        "The address of the stations' gateway, which answers to what does not fit come \
         from. Without one they come from the address that the packet was for.",
    ),
    Key::new("oversize", Mapping(&OVERSIZE))
        .like("{answers: 100}")
        .says("What becomes of frames that do not fit the underlay."),
    Key::new("macs", List(&Mapping(&MAC), 0, MANY))
        .or("[]")
        .says("MACs known in advance; they do not age and do not move."),
    Key::new("multicast", Mapping(&MULTICAST))
        .otherwise("all multicast is flooded")
        .says("Who gets which multicast group."),
]);

const PORT_OF_PLACE: Key = Key::new("port", NAME).required().like("trunk0").says("The port.");
const VLAN_OF_PLACE: Key =
    Key::new("vlan", VLAN).otherwise("none: untagged frames").like("10").says(
        "The 802.1Q VLAN. Its tag is removed towards VXLAN and added towards the \
     port.",
    );
const INNER_VLAN_OF_PLACE: Key = Key::new("inner_vlan", VLAN).like("20").says(
    "The VLAN of a second tag, behind that of `vlan` (QinQ): both together tell \
     the network, both are removed, and both added.",
);
const TPID_OF_PLACE: Key = Key::new("tpid", TPID).or("0x88a8").like("0x8100").says(
    "EtherType of the outer of two tags: that of IEEE 802.1ad, or that of 802.1Q, \
     which inner and single tags always have.",
);

/// Where a network attaches, by name.
pub(in crate::config) static PLACE: Keys =
    Keys::of(&[PORT_OF_PLACE, VLAN_OF_PLACE, INNER_VLAN_OF_PLACE, TPID_OF_PLACE]);

/// The same with what is said of it.
pub(in crate::config) static MEMBER: Keys = Keys::of(&[
    PORT_OF_PLACE,
    VLAN_OF_PLACE,
    INNER_VLAN_OF_PLACE,
    TPID_OF_PLACE,
    Key::new("group", Number(1, 65_535, "")).otherwise("none").like("100").says(
        "The group that stations here are of. Peers with `group_policy` are told it, and `accept_groups` of other \
         places goes by it.",
    ),
    Key::new("accept_groups", List(&Number(0, 65_535, ""), 0, MANY))
        .otherwise("all")
        .like("[0, 100, 200]")
        .says(
            "The groups whose frames are let in here, from ports and from peers, 0 being senders of none; all others are \
             dropped (`group_policy`), broadcasts too. The own group is not let in unless it is listed. What a \
             peer says policy has been applied to is let in, and what Ferry itself says, such as answers to ARP.",
        ),
]);

pub(in crate::config) static FLOOD: Keys = Keys::of(&[
    Key::new(
        "peers",
        Either(&[
            Words(&["learn"]),
            List(&Either(&[IP, Words(&["learn"]), Mapping(&PEER)]), 0, MANY),
        ]),
    )
    .or("[]")
    .like("[192.0.2.2]")
    .says(
        "The other VTEPs of the network: each gets a copy (ingress replication). \
         `learn`, by itself or in the list: also those that send.",
    ),
    Key::new("group", IP).like("239.1.1.1").says(
        "The underlay sends it to the other VTEPs: one packet by each underlay port that has a link, \
         to this address, instead of or beside the copies to `peers`. VXLAN only, of a \
         family that this VTEP has. Networks may share a group. The kernel joins it by \
         the twins, so that switches and routers send it here.",
    ),
    Key::new("ttl", Number(1, 255, "")).or("1").like("8").says(
        "Time to live of packets to the group. Routers between the VTEPs need a higher \
         one.",
    ),
    Key::new("allow", List(&PREFIX, 0, MANY))
        .otherwise("any")
        .like("[192.0.2.0/24]")
        .says("Which VTEPs may be learned as peers, by a group or `learn`."),
]);

pub(in crate::config) static PEER: Keys = Keys::of(&[
    Key::new("address", IP).required().like("192.0.2.3").says(
        "The peer's address; unicast, not this VTEP's own, of a family that this VTEP \
         has.",
    ),
    Key::new("encap", ENCAP).otherwise("the network's").like("gre").says(
        "What it speaks. NVGRE and GRE look the same on the wire, so one address \
         speaks one of them in all networks.",
    ),
    Key::new("id", Number(1, u32::MAX as i64, ""))
        .otherwise("the network's `vni`")
        .like("70001")
        .says(
            "The ID that the network has at this peer, both ways, where another cloud \
             numbers otherwise: to 16777215, for `gre` to 4294967295.",
        ),
    Key::new("port", UDP_PORT)
        .otherwise("`underlay.vtep.vxlan_port`")
        .like("8472")
        .says("Where the peer receives VXLAN."),
    Key::new("group_policy", Boolean)
        .otherwise("the network's")
        .like("true")
        .says("VXLAN: the peer is told of which group the sender of a frame is, and tells."),
    Key::new("checksum", Words(&["auto", "on", "off"])).or("auto").like("on").says(
        "Whether the UDP checksum (VXLAN) or GRE checksum is sent. `auto`: UDP over \
         IPv6 (RFC 8200), and over IPv4 where the underlay port's device computes it, \
         because Linux then merges what it receives into larger segments. The device \
         computes all UDP checksums that it can, a worker the others; `ferry show \
         peers` tells who. Those that arrive are verified always. `off` over IPv6 needs \
         a peer that accepts it.",
    ),
    Key::new("flow_id", Boolean).or("true").like("false").says(
        "NVGRE: tell flows apart by FlowID. Without it the FlowID is 0, as peers want \
         that match the key exactly.",
    ),
    Key::new("key", Boolean).or("true").like("false").says(
        "GRE: send the ID as key. Without one the peer's address alone names the \
         network, so it can be in one such network only.",
    ),
    Key::new("sequence", Either(&[Boolean, Words(&["strict"])])).or("false").like("true").says(
        "GRE: number the packets (RFC 2890), from 0, over all networks that speak to \
         the peer in the same way. With `true` those that arrive are taken, whatever \
         their number; with `strict` those that are not newer than all before them, or \
         have no number, are dropped (`gre_sequence`), until three seconds have brought \
         nothing newer: then the peer has begun anew. A peer that discards old numbers \
         (Linux: `iseq`; `strict` here) discards what several workers, or several \
         queues, bring out of turn, so use it where a peer's packets come by one queue. \
         Linux discards everything after a restart here until the old number is \
         reached.",
    ),
    Key::new("dscp", DSCP).otherwise("the VTEP's").like("46").says(
        "DSCP of packets to it, as `underlay.vtep.dscp`. Networks may differ in it, \
         and in `ttl`; who is spoken to in several ways costs a hashed lookup more \
         whenever the sender changes.",
    ),
    Key::new("ttl", TTL)
        .otherwise("the VTEP's")
        .like("inherit")
        .says("Time to live of packets to it, as `underlay.vtep.ttl`."),
]);

pub(in crate::config) static MAC_MOVE: Keys = Keys::of(&[
    Key::new("policy", POLICY).or("allow").like("freeze").says(
        "`allow`: the last source wins. `local-wins`: what comes by a tunnel takes no \
         MAC that is alive at an access port; such frames are dropped (`mac_move`). \
         `freeze`: no live MAC moves at all, and frames with it from elsewhere are \
         dropped.",
    ),
    Key::new("moves", Either(&[Number(1, 1000, ""), Words(&["off"])])).or("5").like("10").says(
        "How often a MAC may move within a time. If it would once more it is frozen: \
         it stays where it is for a while. `off`: as often as it likes.",
    ),
    Key::new("within", DURATION).or("180s").like("60s").says("That time, from the first move."),
    Key::new("frozen_for", DURATION).or("60s").like("5m").says("How long a frozen MAC stays."),
]);

pub(in crate::config) static ARP_SUPPRESSION: Keys = Keys::of(&[
    Key::new("unknown", Words(&["flood", "drop"])).or("flood").like("drop").says(
        "What happens to a question for an address that is not known: flooded, or \
         dropped and counted, for networks whose `macs` name all addresses. Dropped is \
         what a station here asks everybody; probes for duplicates and announcements \
         always pass.",
    ),
    Key::new("limit", Number(1, 16_777_216, ""))
        .or("8192")
        .like("65536")
        .says("The most addresses that are learned; those of `macs` do not count."),
]);

pub(in crate::config) static OVERSIZE: Keys = Keys::of(&[
    Key::new("answers", Number(0, 1_000_000, "packets a second")).or("1000").like("100").says(
        "How many senders are told what fits; a tenth of that may be told at once. \
         `0`: nobody.",
    ),
    Key::new("others", Words(&["drop", "fragment"])).or("drop").like("fragment").says(
        "What becomes of those whose sender nobody may tell: dropped, or sent in \
         fragments of the outer packet.",
    ),
]);

pub(in crate::config) static MAC: Keys = Keys::with_one_of(
    &["peer", "port"],
    &[
        Key::new("mac", MAC_ADDRESS)
            .required()
            .like("\"02:00:00:00:00:02\"")
            .says("A unicast address, once in a network."),
        Key::new("peer", IP)
            .like("192.0.2.2")
            .says("It is behind this VTEP, which need not be a flood peer."),
        Key::new("port", NAME).like("vm1").says("It is at this port, a member of the network."),
        Key::new("vlan", VLAN)
            .otherwise("the port's only membership, else its untagged frames")
            .like("10")
            .says("Which VLAN of the port."),
        Key::new("inner_vlan", VLAN).like("20").says("The inner one of a VLAN with two tags."),
        Key::new("tpid", TPID)
            .otherwise("as in the network's `ports`")
            .like("0x8100")
            .says("The outer one's EtherType."),
        Key::new("ips", List(&IP, 0, MANY)).or("[]").like("[10.0.0.2, \"fd00::2\"]").says(
            "Its addresses, each once in a network, for `arp_suppression`. They do not \
             age, and no station can take them.",
        ),
    ],
);
