//! Ferry on PCI NICs, within a guest to which QEMU gives Intel's 82574L (`e1000e`) and VMware's vmxnet3 behind an IOMMU or without one. Outside
//! of each NIC is a tap in a namespace.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::frames::{
    BROADCAST, PEER1, ethernet, internet_sum, is_vxlan_to, mac, open_summed_vxlan, vxlan,
};
use crate::support::initramfs::Initramfs;
use crate::support::namespace::output_of;
use crate::support::{Namespace, Qemu, RawPort, eventually, ferry::BINARY};
use serde_json::{Value, json};
use tempfile::TempDir;

/// In the order in which they are loaded.
const MODULES: [&str; 9] = [
    "irqbypass",
    "vfio",
    "vfio_virqfd",
    "vfio_iommu_type1",
    "vfio-pci-core",
    "vfio-pci",
    "tun",
    "uio",
    "uio_pci_generic",
];
/// DPDK's plug-ins.
const DRIVERS: [&str; 6] =
    ["bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_tap", "net_vmxnet3"];
/// Slots, devices, and the taps outside.
const NICS: [(u8, &str, &str); 3] =
    [(3, "e1000e", "wire"), (4, "e1000e", "station"), (5, "vmxnet3", "late")];
const UP: &str = "0000:00:03.0";
const VF: &str = "0000:00:04.0";
const LATE: &str = "0000:00:05.0";
/// The MAC of the first one.
const UP_MAC: [u8; 6] = [2, 0, 0, 0, 0xee, 3];

const CONFIG: &str = r#"
eal: {hugepages: true, memory: 160MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "0000:00:03.0", mtu: 9000, twin: ferry-up0, addresses: [192.0.2.1/24]}]
  vtep: {ipv4: 192.0.2.1}
access:
  ports: [{name: vf, device: "0000:00:04.0", promiscuous: false}]
networks:
  - {vni: 1000, name: a, ports: [vf], flood: {peers: [192.0.2.2]}}
"#;

/// The guest. Behind its first NIC is a kernel VTEP that is 10.0.0.2 itself, behind the others is a tenant's station.
struct Machine {
    guest: Qemu,
    peer: Namespace,
    tenant: Namespace,
}

impl Machine {
    fn boot(devices: &[&str]) -> Self {
        let [peer, tenant] = ["peer", "tenant"].map(Namespace::new);
        let mut machine = peer.command("qemu-system-x86_64");
        machine.args(["-machine", "q35,accel=tcg", "-smp", "2", "-m", "640"]).args(devices);
        for (slot, device, tap) in NICS {
            let outside = "script=no,downscript=no,vnet_hdr=off";
            machine.args(["-netdev", &format!("tap,id={tap},ifname={tap},{outside}")]);
            let mac = format!("mac=02:00:00:00:ee:0{slot}");
            machine.args(["-device", &format!("{device},netdev={tap},addr={slot},romfile=,{mac}")]);
        }
        let guest = Qemu::start(machine, initramfs(), "intel_iommu=on hugepages=96 loglevel=3");
        for tap in ["station", "late"] {
            peer.exec(&format!("ip link set {tap} netns {}", tenant.name));
            tenant.exec(&format!("ip link set {tap} up"));
        }
        peer.exec("ip link set wire up mtu 9000");
        peer.exec("ip address add 192.0.2.2/24 dev wire");
        peer.exec(
            "ip link add vx0 type vxlan id 1000 dstport 4789 local 192.0.2.2 remote 192.0.2.1",
        );
        peer.exec("ip address add 10.0.0.2/24 dev vx0");
        peer.exec("ip link set vx0 up mtu 1500");
        tenant.exec("ip address add 10.0.0.1/24 dev station");
        Self { guest, peer, tenant }
    }

    fn load_modules(&mut self) {
        let load = MODULES.map(|module| format!("insmod /{module}.ko"));
        self.guest.run(&load.join(" && "));
    }

    /// Gives NICs to a kernel driver, as `dpdk-devbind.py` does.
    fn bind(&mut self, driver: &str, nics: &[&str]) {
        for nic in nics {
            let device = format!("/sys/bus/pci/devices/{nic}");
            self.guest.run(&format!(
                "if [ -e {device}/driver ]; then echo {nic} > {device}/driver/unbind; fi; \
                 echo {driver} > {device}/driver_override; echo {nic} > /sys/bus/pci/drivers_probe"
            ));
        }
    }

    /// What `ferry doctor` must say, and whether all is well enough.
    fn expect_doctor(&mut self, well: bool, words: &str) {
        let said = self.guest.run("ferry doctor /ferry.yaml && echo well; true");
        assert_eq!(said.ends_with("well\n"), well, "{said}");
        assert!(said.contains(words), "not '{words}': {said}");
    }

    fn start_ferry(&mut self) {
        self.guest
            .run("{ (ferry run -l debug -c /ferry.yaml >/log 2>&1; echo \"exit $?\" >>/log) & }");
        self.guest.run("until grep -qE 'forwarding|exit' /log; do sleep 0.1; done; grep -q forwarding /log || { cat /log; false; }");
    }

    fn stop_ferry(&mut self) {
        self.guest.run("killall -TERM ferry; until grep -q '^exit' /log; do sleep 0.1; done");
        let log = self.guest.run("cat /log");
        assert!(log.ends_with("\nexit 0\n"), "{log}");
    }

    fn show(&mut self, what: &str) -> Value {
        serde_json::from_str(&self.guest.run(&format!("ferry show {what} --json"))).unwrap()
    }

    fn port(&mut self, name: &str) -> Value {
        port_of(&self.show("ports"), name).clone()
    }

    /// Waits until what is shown is so.
    fn expect(&mut self, list: &str, what: &str, check: impl Fn(&Value) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let shown = self.show(list);
            if check(&shown) {
                return;
            }
            assert!(Instant::now() < end, "not within 10 s: {what}: {shown}");
        }
    }

    fn expect_port(&mut self, name: &str, what: &str, check: impl Fn(&Value) -> bool) {
        self.expect("ports", &format!("{name}: {what}"), |ports| check(port_of(ports, name)));
    }
}

fn port_of<'a>(ports: &'a Value, name: &str) -> &'a Value {
    ports.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
}

/// Ferry, without what only debuggers read, and all that it needs.
fn initramfs() -> Initramfs {
    let mut initramfs = Initramfs::new("mkdir -p /run/ferry");
    MODULES.iter().for_each(|module| initramfs.module(module));
    initramfs.file("/ferry.yaml", CONFIG.as_bytes());
    let folder = TempDir::new().unwrap();
    let stripped = folder.path().join("ferry");
    output_of("strip", &["-o", stripped.to_str().unwrap(), BINARY]);
    initramfs.file("/bin/ferry", &std::fs::read(stripped).unwrap());
    let plugins = plugins();
    initramfs.libraries_of(&[&[PathBuf::from(BINARY)], &plugins[..]].concat());
    plugins.iter().for_each(|plugin| initramfs.copy(plugin));
    initramfs
}

/// Where DPDK finds its plug-ins.
fn plugins() -> Vec<PathBuf> {
    let libraries = output_of("ldd", &[BINARY]);
    let bus = libraries.split_whitespace().find(|word| word.contains("/librte_bus_pci.so"));
    let bus = Path::new(bus.unwrap()).canonicalize().unwrap();
    let name = bus.file_name().unwrap().to_str().unwrap();
    DRIVERS.map(|driver| bus.with_file_name(name.replace("bus_pci", driver))).to_vec()
}

/// One machine for all, as it takes its time to boot.
#[test]
fn behind_an_iommu_nics_forward_filter_check_sums_lose_their_links_and_come_and_go() {
    let mut machine = Machine::boot(&["-device", "intel-iommu"]);
    machine.load_modules();
    machine.expect_doctor(false, "modprobe vfio-pci; dpdk-devbind.py -b vfio-pci 0000:00:04.0");
    machine.bind("vfio-pci", &[UP]);
    machine.bind("uio_pci_generic", &[VF]);
    machine.expect_doctor(false, "0000:00:04.0 has driver uio_pci_generic, and the IOMMU keeps it");
    machine.bind("vfio-pci", &[VF]);
    machine.expect_doctor(true, "0000:00:04.0 has driver vfio-pci");
    machine.guest.run("umount /sys");
    machine.expect_doctor(false, "mount -t sysfs sysfs /sys");
    machine.guest.run("mount -t sysfs sysfs /sys");
    machine.start_ferry();
    machine.tenants_reach_each_other();
    machine.macs_that_are_not_told_are_kept_out();
    machine.checksums_are_computed_and_checked();
    machine.a_lost_link_is_told();
    machine.a_nic_comes_and_goes();
    machine.stop_ferry();
}

#[test]
fn without_an_iommu_they_forward_by_uio() {
    let mut machine = Machine::boot(&[]);
    machine.load_modules();
    machine.expect_doctor(false, "boot with intel_iommu=on");
    machine.expect_doctor(false, "dpdk-devbind.py -b uio_pci_generic 0000:00:03.0");
    machine.guest.run("! ferry run -c /ferry.yaml 2>/log && grep \"'ferry doctor FILE'\" /log");
    machine.bind("uio_pci_generic", &[UP, VF]);
    machine.expect_doctor(true, "the device may write anywhere");
    machine.start_ferry();
    machine.expect_way();
    machine.stop_ferry();
    machine.guest.run("sed -i 's/hugepages: true, //' /ferry.yaml");
    machine.expect_doctor(false, "0000:00:03.0 has driver uio_pci_generic, which needs huge pages");
    machine.guest.run("! ferry run -c /ferry.yaml 2>/log && grep \"'ferry doctor FILE'\" /log");
}

impl Machine {
    fn tenants_reach_each_other(&mut self) {
        self.expect_way();
        assert_eq!(self.port("up0")["driver"], "net_e1000_em");
        let whole = "ping -q -c 3 -i 0.2 -W 3 -M do";
        for (from, to, size) in [
            (&self.tenant, "10.0.0.2", 1472),
            (&self.peer, "10.0.0.1", 1472),
            // Of the twin, by a NIC that takes jumbo frames in pieces.
            (&self.peer, "192.0.2.1", 8972),
        ] {
            let said = from.exec(&format!("{whole} -s {size} {to}"));
            assert!(said.contains(" 0% packet loss"), "{said}");
        }
    }

    /// The first frames may come before there are links, or before the device was told of the peer's MAC.
    fn expect_way(&self) {
        eventually("a way to 10.0.0.2", || {
            self.tenant.try_exec("ping -c 1 -W 0.5 10.0.0.2").status.success()
        });
    }

    /// Sends frames of a station to MACs, and returns to which of them the peer was sent a packet.
    fn reached(&self, macs: &[[u8; 6]]) -> Vec<[u8; 6]> {
        let station = RawPort::open(&self.tenant, "station");
        let wire = RawPort::open(&self.peer, "wire");
        let from = self.tenant.mac("station");
        for mac in macs {
            station.send(&ethernet(*mac, from, 100));
        }
        let last = ethernet(BROADCAST, from, 100);
        station.send(&last);
        let mut reached = Vec::new();
        loop {
            // The kernel speaks, too, and not of [`ethernet`].
            let is_ours = |packet: &[u8]| {
                is_vxlan_to(PEER1)(packet) && packet.get(62..64) == last.get(12..14)
            };
            let (vni, inner) = open_summed_vxlan(&wire.expect("the peer's", is_ours));
            assert_eq!(vni, 1000);
            if inner == last {
                return reached;
            }
            reached.push(inner[..6].try_into().unwrap());
        }
    }

    fn macs_that_are_not_told_are_kept_out(&mut self) {
        let there = self.peer.mac("vx0");
        assert_eq!(self.port("vf")["filter"], json!({"macs": 1, "room": 14, "refused": 0}));
        assert_eq!(self.reached(&[mac(1), there, mac(2)]), [there]);

        let set = |count: u8| {
            let list = (1..=count).map(|number| {
                format!("- {{mac: \"02:00:00:00:aa:{number:02x}\", peer: 192.0.2.2}}\\n")
            });
            format!("printf '{}' | ferry mac replace 1000 -", list.collect::<String>())
        };
        self.guest.run(&set(14));
        self.expect_port("vf", "it is full", |port| {
            port["filter"] == json!({"macs": 14, "room": 14, "refused": 1})
        });
        let all: Vec<_> = (1..=14).map(mac).chain([there]).collect();
        assert_eq!(self.reached(&all).len(), 14);
        self.guest.run("grep 'takes frames for 14 of 15 MACs' /log");
        self.guest.run(&set(2));
        self.expect_port("vf", "it has room again", |port| {
            port["filter"] == json!({"macs": 3, "room": 14, "refused": 0})
        });
        assert_eq!(self.reached(&[mac(1), mac(2), mac(3), there]), [mac(1), mac(2), there]);
    }

    fn checksums_are_computed_and_checked(&mut self) {
        // [`Self::reached`] has seen some that the device has computed.
        assert_eq!(self.show("peers")[0]["udp_checksum"], "device");
        let wire = RawPort::open(&self.peer, "wire");
        let station = RawPort::open(&self.tenant, "station");
        let hello = ethernet(self.tenant.mac("station"), mac(1), 61);
        let plain = vxlan(UP_MAC, PEER1, 1000, &hello);
        let mut summed = plain.clone();
        let mut covered = summed[26..34].to_vec();
        covered.extend([0, 17, summed[38], summed[39]]);
        covered.extend(&summed[34..]);
        summed[40..42].copy_from_slice(&(!internet_sum(&covered)).to_be_bytes());
        for packet in [&plain, &summed] {
            wire.send(packet);
            station.expect_frame(&hello);
        }
        for (mut packet, at) in [(plain, 24), (summed, 41)] {
            packet[at] ^= 1;
            wire.send(&packet);
        }
        station.expect_silence();
        assert_eq!(self.dropped("up0", "ipv4_checksum"), 1);
        assert_eq!(self.dropped("up0", "udp_checksum"), 1);
    }

    fn a_lost_link_is_told(&mut self) {
        self.guest.monitor("set_link wire off");
        self.expect_port("up0", "no link", |port| port["link"] == "down");
        // With the twin's the kernel takes its routes away.
        self.expect("peers", "no route", |peers| peers[0]["state"] == "no_route");
        self.guest.monitor("set_link wire on");
        self.expect_port("up0", "a link", |port| port["link"] == "up");
        self.expect_way();

        self.guest.monitor("set_link station off");
        self.expect_port("vf", "no link", |port| port["link"] == "down");
        let before = self.port("vf")["tx_packets"].clone();
        let wire = RawPort::open(&self.peer, "wire");
        for _ in 0..10 {
            wire.send(&vxlan(UP_MAC, PEER1, 1000, &ethernet(BROADCAST, mac(1), 61)));
        }
        self.expect("drops", "they do not wait for the link", |drops| {
            let is_it = |row: &&Value| row["port"] == "vf" && row["reason"] == "link_down";
            let row = drops.as_array().unwrap().iter().find(is_it);
            row.is_some_and(|row| row["packets"].as_u64().unwrap() >= 10)
        });
        assert_eq!(self.port("vf")["tx_packets"], before);
        self.guest.monitor("set_link station on");
        self.expect_port("vf", "a link", |port| port["link"] == "up");
        self.expect_way();
    }

    fn a_nic_comes_and_goes(&mut self) {
        let late = RawPort::open(&self.tenant, "late");
        let station = RawPort::open(&self.tenant, "station");
        let set_ports = |machine: &mut Self, ports: &str| {
            let network =
                format!("{{vni: 1000, name: a, ports: [{ports}], flood: {{peers: [192.0.2.2]}}}}");
            machine.guest.run(&format!("echo '{network}' | ferry net set 1000 -"));
        };
        let add = format!("ferry port add late {LATE}");
        self.guest.run(&format!("! {add} 2>/errors && grep \"'ferry doctor FILE'\" /errors"));
        self.bind("vfio-pci", &[LATE]);
        for _ in 0..2 {
            self.guest.run(&add);
            set_ports(self, "vf, late");
            let question = ethernet(BROADCAST, mac(5), 100);
            late.send(&question);
            station.expect_frame(&question);
            self.expect_port("vf", "it was told of that one", |port| port["filter"]["macs"] == 2);
            let answer = ethernet(mac(5), self.tenant.mac("station"), 100);
            station.send(&answer);
            late.expect_frame(&answer);
            self.what_nobody_takes_is_counted(&late);
            set_ports(self, "vf");
            self.guest.run("ferry port del late");
        }
    }

    /// By the device, which has 1,024 descriptors.
    fn what_nobody_takes_is_counted(&mut self, late: &RawPort) {
        let count =
            |port: &Value| ["rx_packets", "rx_missed"].map(|key| port[key].as_u64().unwrap());
        let [before, none] = count(&self.port("late"));
        assert_eq!(none, 0);
        self.guest.run("killall -STOP ferry");
        for _ in 0..15 {
            (0..100).for_each(|_| late.send(&ethernet(mac(5), mac(5), 60)));
            std::thread::sleep(Duration::from_millis(20));
        }
        self.guest.run("killall -CONT ferry");
        // A tap holds 1,000 frames.
        let lost = self.tenant.exec("cat /sys/class/net/late/statistics/tx_dropped");
        let sent = 1500 - lost.trim().parse::<u64>().unwrap();
        self.expect_port("late", "all are counted", |port| {
            let [received, missed] = count(port);
            received + missed == before + sent && missed > 0
        });
    }

    fn dropped(&mut self, port: &str, reason: &str) -> u64 {
        let drops = self.show("drops");
        let mut rows = drops.as_array().unwrap().iter();
        let row = rows.find(|row| row["port"] == port && row["reason"] == reason);
        row.map_or(0, |row| row["packets"].as_u64().unwrap())
    }
}
