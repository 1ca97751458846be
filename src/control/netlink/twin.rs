//! Setting a kernel twin up.

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{Handle, LinkUnspec};

use crate::wire::MacAddr;

/// How a twin should look.
#[derive(Clone, Debug)]
pub struct Twin {
    /// Interface name.
    pub interface: String,
    /// Port index of its underlay port.
    pub port: u16,
    /// The underlay port's MAC.
    pub mac: MacAddr,
    /// The underlay port's MTU, in bytes.
    pub mtu: u16,
    /// Addresses to put on it.
    pub addresses: Vec<IpNet>,
}

/// Why a twin cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// No netlink socket or no thread.
    #[error("the kernel's routes and neighbours cannot be read: {0}")]
    Netlink(io::Error),
    /// The interface did not appear.
    #[error("the kernel twin '{0}' did not appear")]
    Missing(String),
    /// The kernel refuses.
    #[error("the kernel twin '{interface}': {what}: {reason}")]
    Refused {
        /// The twin.
        interface: String,
        /// What was tried.
        what: String,
        /// What the kernel said.
        reason: String,
    },
}

/// Gives the twin its MAC, MTU and addresses, and brings it up. Returns its interface index.
pub(super) async fn set_up(handle: &Handle, twin: &Twin) -> Result<u32, TwinError> {
    let index = find(handle, &twin.interface).await?;
    let refused = |what: String| {
        move |error: rtnetlink::Error| TwinError::Refused {
            interface: twin.interface.clone(),
            what,
            reason: reason(&error),
        }
    };
    let link = LinkUnspec::new_with_index(index)
        .address(twin.mac.0.to_vec())
        .mtu(twin.mtu.into())
        .up()
        .build();
    let what = format!("setting MAC {} and MTU {}", twin.mac, twin.mtu);
    handle.link().set(link).execute().await.map_err(refused(what))?;
    ignore_dead_routes(&twin.interface);
    for address in &twin.addresses {
        let request = handle.address().add(index, address.addr(), address.prefix_len());
        match request.execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::EEXIST => {}
            result => result.map_err(refused(format!("adding {address}")))?,
        }
    }
    Ok(index)
}

/// Has the kernel pass over routes by the twin while the underlay port has no link, where there are others. It can
/// do without.
fn ignore_dead_routes(interface: &str) {
    for family in ["ipv4", "ipv6"] {
        let setting =
            format!("/proc/sys/net/{family}/conf/{interface}/ignore_routes_with_linkdown");
        if let Err(error) = std::fs::write(&setting, "1") {
            tracing::debug!("{setting}: {error}");
        }
    }
}

async fn find(handle: &Handle, interface: &str) -> Result<u32, TwinError> {
    for _ in 0..50 {
        let request = handle.link().get().match_name(interface).execute().try_next().await;
        if let Ok(Some(link)) = request {
            return Ok(link.header.index);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(TwinError::Missing(interface.to_owned()))
}

fn reason(error: &rtnetlink::Error) -> String {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io().to_string(),
        other => other.to_string(),
    }
}
