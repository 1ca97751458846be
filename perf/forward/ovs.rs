//! OVS-DPDK on the same captures: a private instance with its own database, sockets and network namespace.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ferry::wire::MacAddr;
use serde_json::{Value, json};

use super::capture;
use super::case::{Case, Pages, Size, Tunnel};
use super::config::{PEER, VTEP, vni};
use super::namespace::{Namespace, run};
use super::process::{Process, pause};

const PROGRAM: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// The forwarding thread on core 1.
pub const THREAD: &str = "pmd-c01";
/// The MAC of the underlay bridge, to which tunnel packets must be sent.
pub const MAC: [u8; 6] = [0x02, 0, 0, 0, 0x01, 0x01];
/// Memory for DPDK, in MiB, for as many packet buffers as it can have.
pub const MEMORY: usize = 2048;
const START: Duration = Duration::from_secs(30);
/// The longest that OVS may take to make its flows from the first packet on.
const MAKING_FLOWS: Duration = Duration::from_secs(30);
/// After all are made.
const WARM_UP: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_secs(2);

/// The flows of the integration bridge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// A learning bridge: one flow, `NORMAL`.
    Normal,
    /// The tables that OpenStack's agent and others use: 0, 1, 3, 10 (`learn`), 20, 21.
    Tunnel,
}

/// Why this machine, or OVS, cannot do a case.
pub fn obstacle(case: Case) -> Option<String> {
    if case.tunnel != Tunnel::Vxlan {
        return Some("only VXLAN over IPv4 is set up for OVS".to_owned());
    }
    if case.networks > 1 || case.trunk || !case.is_unicast() {
        return Some("only one network of untagged frames is set up for OVS".to_owned());
    }
    if case.size != Size::Bytes(64) {
        return Some("measured at 64 bytes only".to_owned());
    }
    if case.frames() > 200_000 {
        return Some("OVS has at most 262,144 packet buffers, the capture needs more".to_owned());
    }
    if !is_there() {
        return Some(format!("{PROGRAM} is missing: package openvswitch-switch-dpdk"));
    }
    None
}

/// Whether the program is installed.
pub fn is_there() -> bool {
    Path::new(PROGRAM).exists()
}

/// The rate in packets a second of the forwarding thread's time on its core.
///
/// # Errors
/// OVS does not start, or forwards nothing to where it should.
pub fn measure(case: Case, tables: Tables, pages: Pages, folder: &Path) -> Result<f64> {
    let ovs = Instance::start(&folder.join("ovs"), pages, false)?;
    ovs.connect()?;
    let [input, output] = ovs.ports(case, folder)?;
    ovs.device(output)?;
    ovs.program(case, tables)?;
    // Last: packets of unknown MACs keep OVS so busy that it takes minutes to enter 100,000.
    ovs.device(input)?;
    ovs.made_flows(case)?;
    pause(WARM_UP)?;
    let (packets, sent, time) = ovs.counters(case)?;
    pause(SAMPLE)?;
    let (more, more_sent, more_time) = ovs.counters(case)?;
    let (packets, sent) = (more - packets, more_sent - sent);
    let rate = packets / (more_time - time).as_secs_f64();
    // Statistics of devices and of flows are not read in the same instant.
    ensure!(
        sent > 0.5 * packets,
        "OVS received {packets} packets and sent {sent}: this is no forwarding"
    );
    // net_null counts no bytes, so what was done to packets is read from the flows that they hit.
    let action = if case.is_from_underlay() { "tnl_pop" } else { "tnl_push" };
    let flows = ovs.control(&["dpctl/dump-flows", "netdev@ovs-netdev"])?;
    ensure!(flows.contains(action), "no flow of OVS says {action}");
    ovs.stop()?;
    Ok(rate)
}

/// Bridge and name of the ports.
const UNDERLAY: [&str; 2] = ["br-phy", "up0"];
const VM: [&str; 2] = ["br-int", "vm1"];

/// Bridge and name of a port, and its device.
type Port = ([&'static str; 2], String);

/// A running OVS. Its namespace goes when it is dropped.
pub struct Instance {
    folder: PathBuf,
    namespace: Namespace,
    database: Process,
    /// It.
    pub switch: Process,
}

impl Instance {
    /// One with a VM's port and a peer's, both on vhost-user, whose sockets it returns. `tso`: VMs may leave long packets to it.
    ///
    /// # Errors
    /// It does not start.
    pub fn between_vms(
        case: Case,
        pages: Pages,
        folder: &Path,
        tso: bool,
    ) -> Result<(Self, [PathBuf; 2])> {
        let ovs = Self::start(&folder.join("ovs"), pages, tso)?;
        ovs.connect()?;
        let ports = [VM, UNDERLAY];
        for [bridge, port] in ports {
            ovs.configure(&format!(
                "add-port {bridge} {port} -- set interface {port} type=dpdkvhostuser ofport_request=1"
            ))?;
        }
        ovs.program(case, Tables::Normal)?;
        let sockets = ports.map(|[_, port]| ovs.folder.join(port));
        Ok((ovs, sockets))
    }

    fn start(folder: &Path, pages: Pages, tso: bool) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let (file, socket) = (folder.join("conf.db"), folder.join("db.sock"));
        run("ovsdb-tool", &["create", &text(&file), SCHEMA])?;
        let namespace = Namespace::new("ovs")?;
        let environment = |mut command: Command| {
            command.env("OVS_RUNDIR", folder).env("OVS_LOGDIR", folder).env("OVS_DBDIR", folder);
            command
        };
        let mut command = environment(Command::new("ovsdb-server"));
        command.arg(&file).arg(format!("--remote=punix:{}", socket.display()));
        command.arg(format!("--unixctl={}", folder.join("database.ctl").display()));
        let mut database = Process::start(command, &folder.join("database.log"))?;
        database.wait_for("database socket", START, |_| socket.exists().then_some(()))?;
        let server = format!("unix:{}", socket.display());
        let set = "other_config:";
        // OVS adds --in-memory, which --no-huge does not go with, unless it sees --legacy-mem.
        let small = if pages == Pages::Small { "--no-huge --legacy-mem --no-shconf " } else { "" };
        run(
            "ovs-vsctl",
            &[
                &format!("--db={server}"),
                "--no-wait",
                "--",
                "init",
                "--",
                "set",
                "Open_vSwitch",
                ".",
                &format!("{set}dpdk-init=true"),
                &format!("{set}dpdk-extra=\"{small}--no-pci --no-telemetry -m {MEMORY}\""),
                &format!("{set}dpdk-lcore-mask=0x1"),
                &format!("{set}pmd-cpu-mask=0x2"),
                // Its documentation's advice for many flows: fewer insertions into the exact-match cache,
                // and the signature-match cache behind it.
                &format!("{set}emc-insert-inv-prob=100"),
                &format!("{set}smc-enable=true"),
                &format!("{set}flow-limit=1000000"),
                &format!("{set}max-idle=600000"),
                // The limit of flows begins low and may grow with each revalidation: five times as many of these.
                &format!("{set}max-revalidator=100"),
                // VMs may leave long packets to it.
                &format!("{set}userspace-tso-enable={tso}"),
            ],
        )?;
        let mut command = environment(namespace.command(PROGRAM));
        let control = folder.join("switch.ctl");
        command.arg(&server).args(["--no-chdir", "-vconsole:info", "-vsyslog:off"]);
        command.arg(format!("--unixctl={}", control.display()));
        let mut switch = Process::start(command, &folder.join("switch.log"))?;
        switch.wait_for("control socket", START, |_| control.exists().then_some(()))?;
        Ok(Self { folder: folder.to_owned(), namespace, database, switch })
    }

    /// The ports of input and output.
    fn ports(&self, case: Case, captures: &Path) -> Result<[Port; 2]> {
        let capture = self.folder.join("input.pcap");
        if case.is_from_underlay() {
            capture::write(case, MAC, &capture)?;
        } else {
            fs::hard_link(super::config::capture_of(case, captures), &capture)?;
        }
        let input = format!("net_pcap0,rx_pcap={},infinite_rx=1", capture.display());
        let output = "net_null0,no-rx=1".to_owned();
        let [from, to] = if case.is_from_underlay() { [UNDERLAY, VM] } else { [VM, UNDERLAY] };
        Ok([(from, input), (to, output)])
    }

    /// Makes the bridges, the tunnel, and the way to the peer.
    fn connect(&self) -> Result<()> {
        let hardware = MacAddr(MAC).to_string();
        let bridge = |name: &str| -> Result<()> {
            self.configure(&format!(
                "--may-exist add-br {name} -- set bridge {name} datapath_type=netdev fail-mode=secure \
                 other-config:mac-table-size=1000000 other-config:mac-aging-time=3600"
            ))
        };
        bridge("br-phy")?;
        self.configure(&format!("set bridge br-phy other-config:hwaddr=\"{hardware}\""))?;
        bridge("br-int")?;
        self.flows("br-phy", "actions=NORMAL")?;
        run(
            "ip",
            &[
                "-n",
                self.namespace.name(),
                "address",
                "add",
                &format!("{VTEP}/24"),
                "dev",
                "br-phy",
            ],
        )?;
        run("ip", &["-n", self.namespace.name(), "link", "set", "br-phy", "up"])?;
        self.configure(&format!(
            "add-port br-int vx0 -- set interface vx0 type=vxlan options:remote_ip={PEER} \
             options:local_ip={VTEP} options:key={} ofport_request=2",
            vni(0)
        ))?;
        self.control(&["ovs/route/add", "192.0.2.0/24", "br-phy"])?;
        self.control(&["tnl/neigh/set", "br-phy", &PEER.to_string(), "02:00:00:00:02:02"]).map(drop)
    }

    /// Adds a DPDK device, as port 1 of its bridge.
    fn device(&self, ([bridge, port], device): Port) -> Result<()> {
        self.configure(&format!(
            "add-port {bridge} {port} -- set interface {port} type=dpdk \
             options:dpdk-devargs={device} ofport_request=1",
        ))?;
        let errors = self.vsctl(&["--bare", "--columns=error", "list", "interface"])?;
        ensure!(errors.trim().is_empty(), "OVS cannot take a device: {}", errors.trim());
        Ok(())
    }

    /// Port 1 is the access port, port 2 the tunnel. Destinations are known, as in Ferry's configuration.
    fn program(&self, case: Case, tables: Tables) -> Result<()> {
        let macs = (0..case.all_macs()).map(|mac| MacAddr(capture::destination(mac)));
        if tables == Tables::Normal {
            self.flows("br-int", "actions=NORMAL")?;
            let port = if case.is_from_underlay() { "vm1" } else { "vx0" };
            return self.known(macs.map(|mac| mac.to_string()), port);
        }
        if !case.is_from_underlay() {
            let mut flows = String::new();
            for mac in macs {
                let _ = writeln!(flows, "table=20,priority=2,dl_dst={mac},actions=output:2");
            }
            let file = self.folder.join("flows");
            fs::write(&file, flows)?;
            self.openflow(&["add-flows", "br-int", &text(&file)])?;
        }
        let learn = "learn(table=20,hard_timeout=3600,priority=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],\
                     output:OXM_OF_IN_PORT[])";
        for flow in [
            "table=0,priority=1,in_port=1,actions=resubmit(,1)",
            "table=0,priority=1,in_port=2,actions=resubmit(,3)",
            "table=0,priority=0,actions=drop",
            "table=1,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,20)",
            "table=1,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,21)",
            "table=3,priority=1,actions=resubmit(,10)",
            &format!("table=10,priority=1,actions={learn},output:1"),
            "table=20,priority=0,actions=resubmit(,21)",
            "table=21,priority=1,actions=output:2",
        ] {
            self.flows("br-int", flow)?;
        }
        Ok(())
    }

    /// Enters static MACs into the table of `NORMAL`, by the control socket itself: a process for each of
    /// 100,000 would take minutes.
    fn known(&self, macs: impl Iterator<Item = String>, port: &str) -> Result<()> {
        /// Requests that are on their way at once.
        const BATCH: usize = 200;
        let stream = UnixStream::connect(self.folder.join("switch.ctl"))?;
        stream.set_read_timeout(Some(START))?;
        let mut replies =
            serde_json::Deserializer::from_reader(stream.try_clone()?).into_iter::<Value>();
        let macs: Vec<_> = macs.collect();
        for batch in macs.chunks(BATCH) {
            for mac in batch {
                let parameters = ["br-int", port, "0", mac.as_str()];
                let request = json!({ "id": 0, "method": "fdb/add", "params": parameters });
                (&stream).write_all(request.to_string().as_bytes())?;
            }
            for _ in batch {
                let reply = replies.next().context("OVS closed its control socket")??;
                ensure!(reply["error"].is_null(), "fdb/add: {}", reply["error"]);
            }
        }
        Ok(())
    }

    /// Waits until there is a flow for each pair of MACs: until then nearly every packet is an upcall, and flows
    /// beyond the limit of the moment are thrown away again.
    fn made_flows(&self, case: Case) -> Result<()> {
        let end = Instant::now() + MAKING_FLOWS;
        loop {
            let shown = self.control(&["dpctl/show", "netdev@ovs-netdev"])?;
            let flows = shown.lines().find_map(|line| line.trim().strip_prefix("flows:"));
            let flows: usize = flows.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
            if flows >= case.all_macs() || Instant::now() > end {
                return Ok(());
            }
            pause(Duration::from_millis(200))?;
        }
    }

    /// Packets received, packets sent by the output device, and the thread's time on its core.
    fn counters(&self, case: Case) -> Result<(f64, f64, Duration)> {
        let (from, to) = if case.is_from_underlay() { ("up0", "vm1") } else { ("vm1", "up0") };
        let count = |port: &str, way: &str| -> Result<f64> {
            let bridge = if port == "up0" { "br-phy" } else { "br-int" };
            let dump = self.openflow(&["dump-ports", bridge, port])?;
            let after = dump.split(&format!("{way} pkts=")).nth(1).context("no such port")?;
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().with_context(|| format!("no {way} of {port}:\n{dump}"))
        };
        Ok((count(from, "rx")?, count(to, "tx")?, self.switch.worker_time(THREAD)?))
    }

    fn vsctl(&self, arguments: &[&str]) -> Result<String> {
        let server = format!("--db=unix:{}", self.folder.join("db.sock").display());
        run("ovs-vsctl", &[&[server.as_str(), "--timeout=20"], arguments].concat())
    }

    fn configure(&self, command: &str) -> Result<()> {
        self.vsctl(&command.split_whitespace().collect::<Vec<_>>()).map(drop)
    }

    fn control(&self, arguments: &[&str]) -> Result<String> {
        let target = text(&self.folder.join("switch.ctl"));
        run("ovs-appctl", &[&["-t", &target], arguments].concat())
    }

    fn flows(&self, bridge: &str, flow: &str) -> Result<()> {
        self.openflow(&["add-flow", bridge, flow]).map(drop)
    }

    fn openflow(&self, arguments: &[&str]) -> Result<String> {
        let socket = |name: &str| format!("unix:{}", self.folder.join(name).display());
        let mut arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        arguments[1] = socket(&format!("{}.mgmt", arguments[1]));
        run("ovs-ofctl", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Ends it.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(self) -> Result<()> {
        self.switch.stop()?;
        self.database.stop()?;
        Ok(())
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
