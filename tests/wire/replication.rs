//! A storm of broadcasts to many peers: unicast overtakes it, and what cannot wait is counted.

use crate::support::frames::{BROADCAST, ethernet, mac, open_pcap, open_vxlan, pcap};
use crate::support::{Ferry, Namespace};
use tempfile::TempDir;

/// Broadcasts, and as many unicast frames between them.
const FLOODS: usize = 1000;
const PEERS: usize = 300;
/// Copies that are made before a flood has to wait, one of them for the local port.
const SLICE: usize = 64;

#[test]
fn unicast_overtakes_a_storm_and_floods_beyond_the_backlog_are_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    let (flood, unicast) = (ethernet(BROADCAST, mac(1), 60), ethernet(mac(2), mac(1), 60));
    let frames: Vec<_> = (0..FLOODS).flat_map(|_| [flood.clone(), unicast.clone()]).collect();
    std::fs::write(folder.path().join("in.pcap"), pcap(&frames)).unwrap();
    let address = |number: usize| format!("198.18.{}.{}", number >> 8, number & 0xff);
    let peers: Vec<_> = (1..=PEERS).map(address).collect();
    let neighbour =
        |peer: &String| format!("    - {{ip: {peer}, mac: \"02:00:00:00:11:01\", port: up0}}\n");
    let neighbours: String = peers.iter().map(neighbour).collect();
    let config = format!(
        r#"
eal: {{memory: 256MiB}}
cores: {{control: 0, workers: [1], idle: sleep}}
underlay:
  ports: [{{name: up0, device: "net_pcap0,tx_pcap={path}/up0.pcap"}}]
  vtep: {{ipv4: 192.0.2.1}}
  neighbours:
{neighbours}
access:
  ports:
    - {{name: vm1, device: "net_pcap1,rx_pcap={path}/in.pcap"}}
    - {{name: vm2, device: "net_pcap2,tx_pcap={path}/vm2.pcap"}}
networks:
  - vni: 1000
    name: a
    ports: [vm1, vm2]
    flood: {{peers: [{}]}}
    macs: [{{mac: "02:00:00:00:aa:02", port: vm2}}]
"#,
        peers.join(", ")
    );
    let host = Namespace::new("host");
    let ferry = Ferry::start(&host, &config);
    let totals = ferry.expect_balance();
    let late = ferry.dropped("vm1", "replication_backlog") as usize;
    assert_eq!(ferry.drops().len(), usize::from(late > 0), "{:?}", ferry.drops());
    ferry.stop();

    let read = |name| open_pcap(&std::fs::read(folder.path().join(name)).unwrap());
    let (local, remote) = (read("vm2.pcap"), read("up0.pcap"));
    assert!((1..FLOODS).contains(&late), "{late} of {FLOODS} floods found no place to wait");
    let whole = FLOODS - late;
    assert_eq!(remote.len(), whole * PEERS + late * (SLICE - 1));
    assert_eq!(totals["copies"], whole * PEERS + late * SLICE);
    assert!(remote.iter().all(|(_, packet)| open_vxlan(packet) == (1000, flood.clone())));

    assert_eq!(local.iter().filter(|(_, frame)| *frame == unicast).count(), FLOODS);
    assert_eq!(local.len(), 2 * FLOODS, "the local port is the first to get each broadcast");
    let last_unicast = local.iter().map(|(time, _)| time).max().unwrap();
    let after = remote.iter().filter(|(time, _)| time > last_unicast).count();
    assert!(after > remote.len() / 2, "only {after} of {} copies were overtaken", remote.len());
}
