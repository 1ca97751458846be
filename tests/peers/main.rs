//! Ferry beside other VTEPs and stations: the kernel's and OVS.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod kernel_fragments;
mod kernel_group;
mod kernel_group_policy;
mod kernel_ipv6;
mod kernel_members;
mod kernel_mtu;
mod kernel_suppression;
mod kernel_vxlan;
mod ovs_gre;
