//! Raw bindings to the DPDK installed on the machine: bindgen's output, a C shim for static inline
//! functions, and the one struct that is laid out by hand ([`rte_mbuf`]).

mod mbuf;

pub use bindings::*;
pub use mbuf::rte_mbuf;

#[allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
#[allow(unsafe_op_in_unsafe_fn, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    use super::mbuf::rte_mbuf;
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
