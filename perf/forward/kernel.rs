//! The Linux kernel on the same captures: a bridge with a VXLAN interface, between two veth pairs in a namespace of its
//! own. testpmd plays the capture into one end from core 1; receive packet steering has core 0 do all that follows.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ferry::wire::MacAddr;

use super::case::{Case, Pages, Size, Tunnel};
use super::config::{PEER, VTEP, capture_of, vni};
use super::namespace::{Namespace, run};
use super::process::{Process, pause};
use super::{capture, ovs, testpmd};

const WARM_UP: Duration = Duration::from_secs(3);
const SAMPLE: Duration = Duration::from_secs(3);
/// `/proc/stat` counts in these (USER_HZ, time(7)).
const TICK: Duration = Duration::from_millis(10);

/// Why the kernel is not measured in a case.
pub fn obstacle(case: Case) -> Option<String> {
    if case.tunnel != Tunnel::Vxlan {
        return Some("only VXLAN over IPv4 is set up for the kernel".to_owned());
    }
    if case.networks > 1 || case.trunk || !case.is_unicast() {
        return Some("only one network of untagged frames is set up for the kernel".to_owned());
    }
    (case.size != Size::Bytes(64) || case.macs > 100_000)
        .then(|| "measured at 64 bytes and up to 100,000 MACs only".to_owned())
}

/// Packets that left at the other end, a second of core 0's time in software interrupts and `ksoftirqd`.
///
/// # Errors
/// The kernel lacks something, or forwards nothing.
pub fn measure(case: Case, pages: Pages, folder: &Path) -> Result<f64> {
    let namespace = Namespace::new("kernel")?;
    let [tenant, inside] = ["tenant0", "tenant1"];
    let [underlay, outside] = ["under0", "under1"];
    let hardware = MacAddr(ovs::MAC).to_string();
    let (id, local, remote) = (vni(0).to_string(), VTEP.to_string(), PEER.to_string());
    for line in [
        format!("link add {tenant} type veth peer name {inside}"),
        format!("link add {underlay} type veth peer name {outside}"),
        format!("link set {underlay} address {hardware} mtu 1600"),
        format!("link set {outside} mtu 1600"),
        format!("address add {local}/24 dev {underlay}"),
        format!(
            "link add vx0 type vxlan id {id} local {local} remote {remote} dstport 4789 dev {underlay}"
        ),
        "link add br0 type bridge ageing_time 360000 mcast_snooping 0".to_owned(),
        format!("link set {inside} master br0"),
        "link set vx0 master br0".to_owned(),
        format!("neighbour add {remote} lladdr 02:00:00:00:02:02 dev {underlay}"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        if words[0] == "neighbour" {
            for name in [tenant, inside, underlay, outside, "vx0", "br0"] {
                run("ip", &["-n", namespace.name(), "link", "set", name, "up"])?;
            }
        }
        run("ip", &[&["-n", namespace.name()], words.as_slice()].concat())?;
    }
    let mut entries = String::new();
    let port = if case.is_from_underlay() { inside } else { "vx0" };
    for mac in 0..case.all_macs() {
        let mac = MacAddr(capture::destination(mac));
        let _ = writeln!(entries, "fdb add {mac} dev {port} master static");
    }
    let file = folder.join("fdb");
    fs::write(&file, entries)?;
    let output = namespace.command("bridge").arg("-batch").arg(&file).output()?;
    ensure!(output.status.success(), "bridge: {}", String::from_utf8_lossy(&output.stderr));
    let (input, entry, exit) = if case.is_from_underlay() {
        (outside, underlay, tenant)
    } else {
        (tenant, inside, outside)
    };
    let steering = format!("echo 1 > /sys/class/net/{entry}/queues/rx-0/rps_cpus");
    let status = namespace.command("sh").args(["-c", &steering]).status()?;
    ensure!(status.success(), "no receive packet steering");
    let path = folder.join("kernel.pcap");
    if case.is_from_underlay() {
        capture::write(case, ovs::MAC, &path)?;
    } else {
        fs::copy(capture_of(case, folder), &path)?;
    }
    let devices = [
        format!("net_pcap0,rx_pcap={},infinite_rx=1", path.display()),
        format!("net_af_packet0,iface={input},framecnt=512"),
    ];
    let mut command = namespace.command(testpmd::PROGRAM);
    command.args(testpmd::arguments(case, "io", pages, &devices));
    let sender = Process::start(command, &folder.join("sender.log"))?;
    pause(WARM_UP)?;
    let count = || -> Result<f64> {
        let path = format!("/sys/class/net/{exit}/statistics/rx_packets");
        let output = namespace.command("cat").arg(path).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    };
    let (packets, time) = (count()?, interrupt_time()?);
    pause(SAMPLE)?;
    let (packets, time) = (count()? - packets, interrupt_time()? - time);
    let log = sender.output();
    sender.stop()?;
    ensure!(packets > 1000.0, "the kernel forwarded {packets} packets; testpmd said:\n{log}");
    ensure!(time > SAMPLE / 10, "core 0 had {time:?} of software interrupts in {SAMPLE:?}");
    Ok(packets / time.as_secs_f64())
}

/// What core 0 has spent in software interrupts, those that `ksoftirqd` serves among them.
fn interrupt_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().find(|line| line.starts_with("cpu0 ")).context("no cpu0")?;
    let ticks = line.split_whitespace().nth(7).context("no softirq time")?;
    Ok(TICK * ticks.parse::<u32>()?)
}
