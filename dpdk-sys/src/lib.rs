//! Raw bindings to the DPDK installed on the machine.
