//! Outer headers: the templates that encapsulation copies, and the decision on what arrives from
//! the underlay.

mod any_template;
mod congestion;
mod decapsulate;
mod encap;
mod fragment;
mod group;
mod marking;
mod named_group;
mod sequence;
mod template;

pub use any_template::{AnyTemplate, PlainIpv6Template, Variable};
pub use congestion::Mark;
pub use decapsulate::{
    Inner, Keyed, Label, NotedBits, Outer, PRIORITY, Plain, PlainIpv6, Received, Shape, Vtep,
    decapsulate,
};
pub use encap::{Encap, OuterHeader, SummedBy, UdpChecksum};
pub use fragment::{Classes, Datagram, Fragment};
pub use group::group_of;
pub use marking::{Dscp, Marking, Ttl};
pub use sequence::{Order, Sequence, SequenceNumbers};
pub use template::{Form, GRE_TEMPLATE_LENGTH, TEMPLATE_LENGTH, Template};
