//! Who gets which multicast group.

use super::Kind::{Boolean, Duration, Either, List, Mapping, Number, Words};
use super::{IP, IPV4, Key, Keys, MANY, PLACES};

pub(in crate::config) static MULTICAST: Keys = Keys::of(&[
    Key::new("unregistered", Words(&["flood", "drop"])).or("flood").like("drop").says(
        "What happens to IP multicast to a group without members; `drop` is counted as \
         `unregistered_multicast`. Multicast routers get it in any case.",
    ),
    Key::new("groups", List(&Mapping(&GROUP), 0, MANY))
        .or("[]")
        .says("Groups with their members, each group once."),
    Key::new("snooping", Either(&[Boolean, Mapping(&SNOOPING)])).or("false").like("true").says(
        "Learn members, and where multicast routers are, from IGMP and MLD (RFC \
         4541).",
    ),
]);

pub(in crate::config) static GROUP: Keys = Keys::with_one_of(
    &["ports", "peers"],
    &[
        Key::new("group", IP)
            .required()
            .like("239.1.1.1")
            .says("A multicast address, IPv4 or IPv6, but no link-local one."),
        Key::new("ports", PLACES).or("[]").like("[vm1]").says(
            "The members here, and multicast routers: of the network's ports. A group has \
             `ports`, `peers` or both.",
        ),
        Key::new("peers", List(&IP, 0, MANY)).or("[]").like("[192.0.2.2]").says(
            "The VTEPs with members, or multicast routers, behind them: of the network's \
             flood peers.",
        ),
    ],
);

pub(in crate::config) static SNOOPING: Keys = Keys::of(&[
    Key::new("router_ports", PLACES).or("[]").like("[vm1]").says(
        "Ports that multicast routers are behind for certain: of the network's ports. \
         They get all multicast, and all reports.",
    ),
    Key::new("router_peers", List(&IP, 0, MANY))
        .or("[]")
        .like("[192.0.2.2]")
        .says("The same of the network's flood peers."),
    Key::new("group_limit", Number(1, 1_000_000, ""))
        .or("1024")
        .like("4096")
        .says("The most groups that are learned."),
    Key::new("port_group_limit", Number(1, 1_000_000, ""))
        .or("256")
        .like("32")
        .says("The most groups that one port, or one peer, can be a member of."),
    Key::new("message_limit", Number(1, 1_000_000, "messages a second"))
        .or("2000")
        .like("10000")
        .says(
            "How much IGMP and MLD is taken, and as many at once; more is dropped as \
             `igmp_mld_rate`.",
        ),
    Key::new("fast_leave", Boolean).or("false").like("true").says(
        "A group leaves a port with the first station that leaves it: for ports with \
         one station each.",
    ),
    Key::new("querier", Either(&[Boolean, IPV4])).or("false").like("true").says(
        "Ask for members, by IGMPv3 and MLDv2, while nobody else does: for networks \
         without a multicast router. `true` asks over IPv4 from 0.0.0.0, as bridges do; \
         an address takes part in the election of the querier, and makes others take \
         this VTEP for a multicast router.",
    ),
    Key::new("query_interval", Duration("1s", "1h")).or("125s").like("60s").says(
        "Time between questions to all. These three are RFC 3376's, and are also taken \
         where another querier says nothing of its own.",
    ),
    Key::new("response_interval", Duration("100ms", "25s"))
        .or("10s")
        .like("5s")
        .says("By when stations answer."),
    Key::new("last_member_interval", Duration("100ms", "25s"))
        .or("1s")
        .like("500ms")
        .says("By when they answer when somebody has left a group; it is asked twice."),
]);
