//! Copies for who looks on.

use super::Kind::{List, Mapping, Words};
use super::network::PEER;
use super::{Key, Keys, MANY, NAME};

pub(in crate::config) static MIRROR: Keys = Keys::of(&[
    Key::new("name", NAME)
        .required()
        .like("ids")
        .says("What the mirror is called, unique among mirrors."),
    Key::new("of", List(&NAME, 1, MANY))
        .required()
        .like("[vm1, vm2]")
        .says("The ports: access ports, and with `to.port` underlay ports, too."),
    Key::new("direction", Words(&["in", "out", "both"])).or("both").like("in").says(
        "What comes in by them (`in`, from a guest), leaves by them (`out`, to a guest), or both.",
    ),
    Key::new("to", Mapping(&TO)).required().like("{port: tap9}").says("Where copies go."),
]);

pub(in crate::config) static TO: Keys = Keys::with_one_of(
    &["port", "peer"],
    &[
        Key::new("port", NAME).like("tap9").says(
            "Out of this access port, which is in no network and in no mirror's `of`. What \
             comes in by it is dropped (`mirror_port`).",
        ),
        Key::new("peer", Mapping(&PEER)).like("{address: 192.0.2.9, id: 4000}").says(
            "To this VTEP, or a Linux machine with a VXLAN or GRE device. `id` must be there, \
             and is no network's; `encap` is `vxlan` if not said.",
        ),
    ],
);
