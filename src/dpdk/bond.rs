//! Several devices that are one (DPDK Programmer's Guide, "Link Bonding Poll Mode Driver Library").

use std::ffi::CString;

use super::error::{Error, Result, check};

/// How the members of a bond share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondMode {
    /// One works, the others wait for its link to fail.
    ActiveBackup,
    /// All of those work that the switch agrees on by LACP (IEEE 802.1AX).
    Lacp,
}

/// Makes the bond `name` of attached ports. Returns its own port.
///
/// # Errors
/// A member that cannot be one, or what the driver says.
pub(super) fn create(name: &str, mode: BondMode, members: &[u16], subject: &str) -> Result<u16> {
    let c_name = CString::new(name)
        .map_err(|_| Error::plain("rte_eth_bond_create", subject, "a NUL in its name"))?;
    let mode = match mode {
        BondMode::ActiveBackup => dpdk_sys::SHIM_BOND_ACTIVE_BACKUP,
        BondMode::Lacp => dpdk_sys::SHIM_BOND_8023AD,
    };
    // SAFETY: a plain call with a C string.
    let bond = check("rte_eth_bond_create", subject, unsafe {
        dpdk_sys::rte_eth_bond_create(c_name.as_ptr(), mode, 0)
    })? as u16;
    if let Err(error) = set_up(bond, members, subject) {
        // SAFETY: nobody knows of the bond yet.
        unsafe { dpdk_sys::rte_eth_bond_free(c_name.as_ptr()) };
        return Err(error);
    }
    Ok(bond)
}

fn set_up(bond: u16, members: &[u16], subject: &str) -> Result<()> {
    // By the outer ports too: they are what tells flows apart.
    let policy = dpdk_sys::BALANCE_XMIT_POLICY_LAYER34 as u8;
    // SAFETY: plain calls on ports that exist.
    unsafe {
        check(
            "rte_eth_bond_xmit_policy_set",
            subject,
            dpdk_sys::rte_eth_bond_xmit_policy_set(bond, policy),
        )?;
        for member in members {
            check("rte_eth_bond_member_add", subject, dpdk_sys::shim_bond_add(bond, *member))?;
        }
    }
    Ok(())
}

/// Has a member be the one that works, if it is not yet. Most drivers tell of a link that is lost, and the bond's driver
/// hears it at once; net_tap knows its link and tells nobody.
pub(super) fn prefer(bond: u16, member: u16) {
    // SAFETY: plain calls on ports that exist.
    unsafe {
        if dpdk_sys::rte_eth_bond_primary_get(bond) != i32::from(member) {
            dpdk_sys::rte_eth_bond_primary_set(bond, member);
        }
    }
}
