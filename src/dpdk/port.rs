//! Ethernet devices: attach, configure, start, look at, stop.

use std::ffi::{CStr, CString};
use std::mem;
use std::sync::{Arc, OnceLock};

use super::bond::{self, BondMode};
use super::error::{Error, Result, check};
use super::interface::Interface;
use super::link::{LinkState, link};
use super::mempool::Mempool;
use super::offload::Offloads;
use super::port_state::{PortState, Watch, look_at_guest};
use super::queue::{RxQueue, TxQueue};
use super::vhost::Vhost;

/// Drivers that take no frames while there is no link, and those that are offered from the moment on when there is one.
const REFUSING: [&str; 2] = ["net_tap", "net_memif"];

/// How to set a port up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOptions {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues wanted; the device may have fewer.
    pub tx_queues: u16,
    /// Descriptors of each receive queue; `None` takes the driver's choice.
    pub rx_descriptors: Option<u16>,
    /// Descriptors of each transmit queue; `None` takes the driver's choice.
    pub tx_descriptors: Option<u16>,
    /// Largest payload of an Ethernet frame, in bytes.
    pub mtu: u16,
    /// Whether frames for other stations are taken in too.
    pub promiscuous: bool,
    /// What is left to the other side, as far as it is able to.
    pub offloads: Offloads,
    /// Whether the other side may hand over TCP packets whole, in chains: a virtio driver's word to its device.
    pub takes_whole: bool,
}

/// An attached device. Started by [`Port::start`]; stopped, closed and detached when the port and all its queues are
/// dropped.
pub struct Port {
    name: String,
    id: u16,
    info: dpdk_sys::rte_eth_dev_info,
    vhost: Option<Vhost>,
    state: Arc<PortState>,
    /// Until the port starts.
    watch: Option<Watch>,
    bond: Option<BondMode>,
    filter_room: Option<u32>,
    started: Option<Arc<Started>>,
    attached: Arc<Attached>,
}

/// An attached device, kept so by its port and its queues.
struct Attached {
    id: u16,
    name: String,
    device: *mut dpdk_sys::rte_device,
    /// Its kernel interface, if it has one, once it is started.
    interface: OnceLock<Interface>,
    /// Of a bond: they are detached after it.
    members: Vec<Attached>,
}

/// A started port, kept alive by its queues.
pub(super) struct Started {
    pub(super) id: u16,
    watch: Option<Watch>,
    _pool: Mempool,
    attached: Arc<Attached>,
}

// SAFETY: the raw pointers inside `rte_eth_dev_info` point to driver constants.
unsafe impl Send for Port {}
// SAFETY: `&Port` only reads, through DPDK calls that are thread-safe for statistics and link state.
unsafe impl Sync for Port {}
// SAFETY: the device is DPDK's, which takes it back once, in `drop`; nothing else looks at it.
unsafe impl Send for Attached {}
// SAFETY: as above.
unsafe impl Sync for Attached {}

impl Port {
    /// Attaches the device that `devargs` names: a PCI address (probed by EAL's start) or a virtual
    /// device with its arguments, verbatim. `name` is for messages.
    ///
    /// # Errors
    /// No such device or driver, or arguments that the driver refuses.
    pub fn attach(name: &str, devargs: &str) -> Result<Self> {
        super::log::take_last_error();
        let subject = format!("port {name} (device {devargs})");
        let vhost = Vhost::of(devargs);
        let mut text = devargs.to_owned();
        if let Some(vhost) = &vhost {
            vhost.remove_stale_socket();
            text = vhost.with_tso(devargs);
        }
        let id = probe(&text, &subject)?;
        Self::of(name, id, Vec::new(), vhost, &subject)
    }

    /// Attaches devices, and makes a bond of them, a port like any other.
    ///
    /// # Errors
    /// A device that cannot be attached, or cannot be a member.
    pub fn attach_bond(name: &str, mode: BondMode, members: &[String]) -> Result<Self> {
        super::log::take_last_error();
        let mut attached = Vec::new();
        for devargs in members {
            let subject = format!("port {name} (member {devargs})");
            attached.push(Attached::new(name, probe(devargs, &subject)?, Vec::new(), &subject)?.0);
        }
        let subject = format!("port {name} (bond of {})", members.join(" and "));
        let ids: Vec<_> = attached.iter().map(|member| member.id).collect();
        let id = bond::create(&format!("net_bonding_{name}"), mode, &ids, &subject)?;
        let port = Self::of(name, id, attached, None, &subject)?;
        Ok(Self { bond: Some(mode), ..port })
    }

    fn of(
        name: &str,
        id: u16,
        members: Vec<Attached>,
        vhost: Option<Vhost>,
        subject: &str,
    ) -> Result<Self> {
        let (attached, info) = Attached::new(name, id, members, subject)?;
        let watch = Watch::new(id, vhost.is_some(), subject)?;
        let (name, state) = (name.to_owned(), watch.state());
        let (watch, attached) = (Some(watch), Arc::new(attached));
        Ok(Self {
            name,
            id,
            info,
            vhost,
            state,
            watch,
            bond: None,
            filter_room: None,
            started: None,
            attached,
        })
    }

    /// Whether it must be sent by, be it nothing, ten times a second at least: its driver has frames of its own.
    pub fn needs_turns(&self) -> bool {
        self.bond == Some(BondMode::Lacp)
    }

    /// Looks at the links of a bond's members, and chooses the one that works where one does.
    pub fn mind_members(&self) {
        if self.bond == Some(BondMode::ActiveBackup)
            && let Some(first) = self.attached.members.iter().find(|member| member.link().up)
        {
            bond::prefer(self.id, first.id);
        }
    }

    /// The name it was attached with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// DPDK's number of the port.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The driver, such as `net_af_packet`.
    pub fn driver(&self) -> String {
        // SAFETY: a driver's name is a static string.
        unsafe { CStr::from_ptr(self.info.driver_name) }.to_string_lossy().into_owned()
    }

    /// Receive queues that the device has, at most.
    pub fn max_rx_queues(&self) -> u16 {
        self.info.max_rx_queues
    }

    /// Transmit queues that the device has, at most.
    pub fn max_tx_queues(&self) -> u16 {
        self.info.max_tx_queues
    }

    /// The largest MTU that the device takes, in bytes.
    pub fn max_mtu(&self) -> u16 {
        // Drivers that say nothing of MTUs say how long a frame may be; the difference is DPDK's own.
        const OVERHEAD: u32 = 18;
        match self.info.max_mtu {
            u16::MAX => {
                self.info.max_rx_pktlen.saturating_sub(OVERHEAD).min(u16::MAX.into()) as u16
            }
            mtu => mtu,
        }
    }

    /// Whether it sends packets of several segments.
    pub fn sends_chains(&self) -> bool {
        self.info.tx_offload_capa & dpdk_sys::SHIM_TX_OFFLOAD_MULTI_SEGS != 0
    }

    /// Whether it computes UDP checksums of what it sends ([`super::Mbuf::have_udp_checksum_computed`]).
    pub fn computes_udp_checksums(&self) -> bool {
        self.info.tx_offload_capa & dpdk_sys::SHIM_TX_OFFLOAD_UDP_CKSUM != 0
    }

    /// Whether frames may come in that [their sender left work on](super::Mbuf::unfinished): from a guest, or by
    /// virtio from a host.
    pub fn takes_unfinished(&self) -> bool {
        let driver = self.driver();
        ["net_vhost", "net_virtio"].iter().any(|name| driver.starts_with(name))
    }

    /// Its other side, as it is from now on.
    pub fn state(&self) -> Arc<PortState> {
        self.state.clone()
    }

    /// The NUMA node, or -1.
    pub fn socket(&self) -> i32 {
        // SAFETY: the id is a port's.
        unsafe { dpdk_sys::rte_eth_dev_socket_id(self.id) }
    }

    /// Whether it has so many receive queues.
    ///
    /// # Errors
    /// It has fewer; the message says how many.
    pub fn require_rx_queues(&self, queues: u16) -> Result<()> {
        if queues <= self.info.max_rx_queues {
            return Ok(());
        }
        let (driver, most) = (self.driver(), self.info.max_rx_queues);
        let reason = format!("{queues} receive queues asked for, and {driver} has {most} here");
        Err(Error::plain("rte_eth_dev_configure", &format!("port {}", self.name), reason))
    }

    /// Whether it takes an MTU of so many bytes.
    ///
    /// # Errors
    /// It takes a smaller one; the message says which.
    pub fn require_mtu(&self, mtu: u16) -> Result<()> {
        let most = self.max_mtu();
        if mtu <= most {
            return Ok(());
        }
        let reason = format!("MTU {mtu} asked for, and {} has {most} at most here", self.driver());
        Err(Error::plain("rte_eth_dev_configure", &format!("port {}", self.name), reason))
    }

    /// Configures the queues and starts the port. Its receive queues fill from the pool.
    ///
    /// # Errors
    /// More queues than the device has, an MTU it cannot carry, or what the driver says.
    pub fn start(
        &mut self,
        options: &PortOptions,
        pool: &Mempool,
    ) -> Result<(Vec<RxQueue>, Vec<TxQueue>)> {
        let subject = format!("port {}", self.name);
        super::log::take_last_error();
        self.require_rx_queues(options.rx_queues)?;
        let tx_queues = options.tx_queues.min(self.info.max_tx_queues);
        self.configure(&subject, options, tx_queues)?;
        let (rx_descriptors, tx_descriptors) = self.descriptors(&subject, options)?;
        let socket = self.socket();
        let socket = u32::try_from(socket).unwrap_or(dpdk_sys::SHIM_SOCKET_ID_ANY as u32);
        for queue in 0..options.rx_queues {
            // SAFETY: null configuration means the driver's default; the pool outlives the port.
            check("rte_eth_rx_queue_setup", &subject, unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(
                    self.id,
                    queue,
                    rx_descriptors,
                    socket,
                    std::ptr::null(),
                    pool.as_ptr(),
                )
            })?;
        }
        for queue in 0..tx_queues {
            // SAFETY: as above.
            check("rte_eth_tx_queue_setup", &subject, unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(
                    self.id,
                    queue,
                    tx_descriptors,
                    socket,
                    std::ptr::null(),
                )
            })?;
        }
        // SAFETY: configured above.
        check("rte_eth_dev_start", &subject, unsafe { dpdk_sys::rte_eth_dev_start(self.id) })?;
        self.attached.find_interface();
        let (id, attached) = (self.id, self.attached.clone());
        let watch = self.watch.take();
        let started = Arc::new(Started { id, watch, _pool: pool.clone(), attached });
        self.started = Some(started.clone());
        match &self.vhost {
            // One that came before the driver could tell of it.
            Some(_) => look_at_guest(self.id, &self.state),
            None => self.state.set_offloads(self.able(options)),
        }
        self.set_mtu(&subject, options.mtu)?;
        self.accept_frames(options.promiscuous);
        let rx = (0..options.rx_queues).map(|queue| RxQueue::new(started.clone(), queue)).collect();
        let tx = (0..tx_queues).map(|queue| TxQueue::new(started.clone(), queue)).collect();
        Ok((rx, tx))
    }

    /// What the device does of what is wanted.
    fn able(&self, options: &PortOptions) -> Offloads {
        Offloads::of_device(&self.info).only(options.offloads)
    }

    fn configure(&self, subject: &str, options: &PortOptions, tx_queues: u16) -> Result<()> {
        // SAFETY: an all-zero rte_eth_conf means defaults.
        let mut conf: dpdk_sys::rte_eth_conf = unsafe { mem::zeroed() };
        let mut wanted = dpdk_sys::SHIM_RX_OFFLOAD_IPV4_CKSUM | dpdk_sys::SHIM_RX_OFFLOAD_UDP_CKSUM;
        if options.takes_whole {
            wanted |= dpdk_sys::SHIM_RX_OFFLOAD_TCP_LRO;
        }
        conf.rxmode.offloads = wanted & self.info.rx_offload_capa;
        let send = dpdk_sys::SHIM_TX_OFFLOAD_MULTI_SEGS
            | dpdk_sys::SHIM_TX_OFFLOAD_UDP_CKSUM
            | self.able(options).to_configure();
        conf.txmode.offloads = send & self.info.tx_offload_capa;
        let hashes = dpdk_sys::SHIM_RSS_IP
            | dpdk_sys::SHIM_RSS_UDP
            | dpdk_sys::SHIM_RSS_TCP
            | dpdk_sys::SHIM_RSS_L2_PAYLOAD;
        let hashes = hashes & self.info.flow_type_rss_offloads;
        if options.rx_queues > 1 && hashes != 0 {
            conf.rxmode.mq_mode = dpdk_sys::SHIM_MQ_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = hashes;
        }
        if options.mtu >= self.info.min_mtu {
            conf.rxmode.mtu = u32::from(options.mtu);
        }
        // SAFETY: the id is a port's and `conf` is read during the call only.
        check("rte_eth_dev_configure", subject, unsafe {
            dpdk_sys::rte_eth_dev_configure(self.id, options.rx_queues, tx_queues, &conf)
        })?;
        match &self.vhost {
            Some(vhost) => vhost.offer(options.offloads, subject),
            None => Ok(()),
        }
    }

    fn descriptors(&self, subject: &str, options: &PortOptions) -> Result<(u16, u16)> {
        const DEFAULT: u16 = 1024;
        let mut rx = options.rx_descriptors.unwrap_or(DEFAULT);
        let mut tx = options.tx_descriptors.unwrap_or(DEFAULT);
        // SAFETY: both are read and written during the call.
        check("rte_eth_dev_adjust_nb_rx_tx_desc", subject, unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.id, &mut rx, &mut tx)
        })?;
        Ok((rx, tx))
    }

    fn set_mtu(&self, subject: &str, mtu: u16) -> Result<()> {
        // SAFETY: plain calls on a started port.
        let (failed, now) = unsafe {
            let mut now = 0;
            let failed = dpdk_sys::rte_eth_dev_set_mtu(self.id, mtu);
            dpdk_sys::rte_eth_dev_get_mtu(self.id, &mut now);
            (failed, now)
        };
        match failed {
            0 => Ok(()),
            // Not every virtual device has a say in its MTU.
            number if number == -libc::ENOTSUP || now == mtu => Ok(()),
            number => {
                let error = Error::number("rte_eth_dev_set_mtu", subject, number);
                Err(Error { reason: format!("MTU {mtu}: {}", error.reason), ..error })
            }
        }
    }

    fn accept_frames(&mut self, promiscuous: bool) {
        // SAFETY: plain calls on a started port.
        let takes_all = unsafe {
            dpdk_sys::rte_eth_allmulticast_enable(self.id);
            // Drivers that know no such mode are of devices without a filter.
            promiscuous
                && [0, -libc::ENOTSUP].contains(&dpdk_sys::rte_eth_promiscuous_enable(self.id))
        };
        // One place is its own MAC's.
        let room = self.info.max_mac_addrs.saturating_sub(1);
        self.filter_room = (!takes_all && room > 0).then_some(room);
    }

    /// How many MACs besides its own it can be told to take frames for; `None` where it takes all frames, or can be told
    /// of none.
    pub fn filter_room(&self) -> Option<u32> {
        self.filter_room
    }

    /// Has it take frames for another MAC.
    ///
    /// # Errors
    /// What the driver says.
    pub fn add_mac(&self, mac: [u8; 6]) -> Result<()> {
        let mut address = dpdk_sys::rte_ether_addr { addr_bytes: mac };
        // SAFETY: the address is read during the call.
        check("rte_eth_dev_mac_addr_add", &format!("port {}", self.name), unsafe {
            dpdk_sys::rte_eth_dev_mac_addr_add(self.id, &mut address, 0)
        })
        .map(drop)
    }

    /// Has it take frames for a MAC no longer.
    pub fn remove_mac(&self, mac: [u8; 6]) {
        let mut address = dpdk_sys::rte_ether_addr { addr_bytes: mac };
        // SAFETY: as above. One that it does not know is no matter.
        unsafe { dpdk_sys::rte_eth_dev_mac_addr_remove(self.id, &mut address) };
    }

    /// The device's MAC address.
    pub fn mac(&self) -> [u8; 6] {
        // SAFETY: written by the call; zero where it fails.
        unsafe {
            let mut address: dpdk_sys::rte_ether_addr = mem::zeroed();
            dpdk_sys::rte_eth_macaddr_get(self.id, &mut address);
            address.addr_bytes
        }
    }

    /// The MTU now, in bytes.
    pub fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: written by the call.
        unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.id, &mut mtu) };
        mtu
    }

    /// The link, without waiting for it. A bond has one where a member has, of which not every driver tells the bond's.
    pub fn link(&self) -> LinkState {
        let members = &self.attached.members;
        let lost = !members.is_empty() && !members.iter().any(|member| member.link().up);
        let link = self.attached.link();
        LinkState { up: link.up && !lost, is_gone: self.is_gone(), ..link }
    }

    /// Whether its kernel interface is, or those of all members of a bond are: see [`LinkState::is_gone`].
    pub fn is_gone(&self) -> bool {
        let Attached { members, .. } = &*self.attached;
        self.attached.is_gone() || !members.is_empty() && members.iter().all(Attached::is_gone)
    }

    /// Tells the link to those who only see [`Port::state`]. A driver that tells of changes does so itself.
    pub fn set_link(&self, up: bool) {
        if !self.state.changes() {
            self.state.set_up(up);
            let refuses = REFUSING.contains(&&*self.driver()) && !self.is_gone();
            self.state.set_closed(!up && !refuses);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.watch = None;
        // SAFETY: the last queue handle is gone, so no lcore polls this port any more.
        if unsafe { dpdk_sys::rte_eth_dev_stop(self.id) } != 0 {
            tracing::warn!("port {} did not stop cleanly", self.attached.name);
        }
    }
}

impl Attached {
    /// A port that was probed, and what its driver says of it.
    fn new(
        name: &str,
        id: u16,
        members: Vec<Attached>,
        subject: &str,
    ) -> Result<(Self, dpdk_sys::rte_eth_dev_info)> {
        // SAFETY: an all-zero rte_eth_dev_info is valid and is filled by the call.
        let info = unsafe {
            let mut info: dpdk_sys::rte_eth_dev_info = mem::zeroed();
            check("rte_eth_dev_info_get", subject, dpdk_sys::rte_eth_dev_info_get(id, &mut info))?;
            info
        };
        let (name, device) = (name.to_owned(), info.device);
        let interface = OnceLock::new();
        Ok((Self { id, name, device, interface, members }, info))
    }

    /// Once it is started, and while the interface is where it was opened.
    fn find_interface(&self) {
        self.members.iter().for_each(Self::find_interface);
        if let Some(interface) = Interface::of(self.id) {
            let _ = self.interface.set(interface);
        }
    }

    fn is_gone(&self) -> bool {
        self.interface.get().is_some_and(Interface::is_gone)
    }

    fn link(&self) -> LinkState {
        let said = link(self.id);
        self.interface.get().map_or(said, |interface| interface.judge(said))
    }
}

/// Probes the device that `devargs` names, unless EAL's start has. Returns its port.
fn probe(devargs: &str, subject: &str) -> Result<u16> {
    let text = CString::new(devargs)
        .map_err(|_| Error::plain("rte_dev_probe", subject, "a NUL in its devargs"))?;
    let device = devargs.split(',').next().unwrap_or(devargs).trim();
    let device = CString::new(device).unwrap_or_default();
    let mut id = u16::MAX;
    // SAFETY: plain calls with C strings; `id` is written on success.
    unsafe {
        if dpdk_sys::shim_port_of_device(device.as_ptr(), &mut id) != 0 {
            check("rte_dev_probe", subject, dpdk_sys::rte_dev_probe(text.as_ptr()))?;
            check(
                "rte_dev_probe",
                subject,
                dpdk_sys::shim_port_of_device(device.as_ptr(), &mut id),
            )?;
        }
    }
    Ok(id)
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A tap is there for as long as a file of it is.
        self.interface.take();
        // SAFETY: the port is stopped, or never was started, and nobody has its id any more; the device was probed and is
        // removed once.
        unsafe {
            dpdk_sys::rte_eth_dev_close(self.id);
            if dpdk_sys::rte_dev_remove(self.device) < 0 {
                tracing::warn!("the device of port {} cannot be detached", self.name);
            }
        }
    }
}
