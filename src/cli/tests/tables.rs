//! Tables, to the letter. `_` stands for the narrow space between groups of digits.

use crate::api::tests::fake::{totals, world};
use crate::cli::list::{self, List};

fn table<T: List>(list: &[T]) -> String {
    let mut output = Vec::new();
    list::write(list, &mut output).unwrap();
    plain(output)
}

fn plain(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap().replace('\u{202f}', "_")
}

#[test]
fn ports() {
    let expected = "\
PORT       ROLE      LINK      SPEED   MTU  MAC                RX PACKETS  RX BYTES  MISSED  TX PACKETS  TX BYTES  DROPS  ERRORS                       DEVICE
vm1        access    down          -  1500  02:00:00:00:00:01   1_234_567     1_000      17          12       999      0  -                            net_vhost1,iface=/run/ferry/vm1.sock
up0        underlay  up    10 Gbit/s  1500  02:00:00:00:00:01   1_234_567     1_000      17          12       999      0  rx 3, no buffer 1_002, tx 1  0000:3b:00.1 (net_ice)
ferry-up0  twin      up    10 Gbit/s  1500  02:00:00:00:00:01   1_234_567     1_000      17          12       999      0  -                            net_tap0
";
    assert_eq!(table(&world().ports), expected);
}

#[test]
fn networks_with_the_first_of_many_peers() {
    let expected = "\
VNI  NETWORK     ENCAP  LEARNED  LIMIT  STATIC  LEARNING  AGEING   MTU  ARP ANSWERED  FLOODED  FROM PORTS  FROM PEERS  PORTS             GROUP  PEERS
101  tenant-101  vxlan        2  8_192       1  on            5m  1450         1_234        5       1_000       2_000  vm1 trunk0.10.20  -      learn 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 +2
";
    assert_eq!(table(&world().networks), expected);
}

#[test]
fn macs() {
    let expected = "\
VNI  NETWORK     MAC                KIND     STATE   PORT    PEER         AGE
101  tenant-101  02:00:00:00:00:00  static   -       vm1     -              -
101  tenant-101  02:00:00:00:00:01  learned  -       -       192.0.2.2  1m 1s
101  tenant-101  02:00:00:00:00:02  learned  frozen  vm1.10  -          2m 2s
";
    assert_eq!(table(&world().macs), expected);
}

#[test]
fn neighbours() {
    let expected = "\
VNI  NETWORK     IP        MAC                KIND    ROUTER    AGE
101  tenant-101  10.0.0.1  02:00:00:00:00:01  static  -           -
101  tenant-101  fe80::2   02:00:00:00:00:02  nd      yes     1m 1s
";
    assert_eq!(table(&world().neighbours), expected);
}

#[test]
fn groups() {
    let expected = "\
VNI  NETWORK     GROUP      KIND     PORT       PEER       VERSION  FILTER   SOURCES     EXPIRES
101  tenant-101  239.1.1.1  static   trunk0.10  -          -        -        -                 -
101  tenant-101  239.1.1.1  static   -          192.0.2.2  -        -        -                 -
101  tenant-101  -          querier  vm1        -          igmpv3   -        10.0.0.254   4m 10s
101  tenant-101  239.1.1.1  learned  vm1        -          igmpv3   exclude  10.0.0.9     4m 20s
";
    assert_eq!(table(&world().groups), expected);
}

#[test]
fn peers() {
    let expected = "\
PEER          KIND     ENCAP  UDP CHECKSUM  DSCP      TTL  STATE     PORT     NEXT HOP                   MAC                                  AGE   MTU  PATH MTU  SENT  RECEIVED  NETWORKS
192.0.2.2     learned  vxlan  device        copy       64  resolved  up0 up1  192.0.2.254 192.0.2.253*3  02:00:00:00:00:fe 02:00:00:00:00:fd   7s  1350      1400    12        34  101 102
198.51.100.1  static   vxlan  -               46  inherit  no route  -        -                          -                                      -     -         -     -         -  101
";
    assert_eq!(table(&world().peers), expected);
}

#[test]
fn workers() {
    let expected = "\
LCORE  CORE  SOCKET    BUSY  RX PACKETS  TX PACKETS  BURSTS  PER BURST      POLLS  EMPTY POLLS  QUEUES
    1     2       0  12.3 %       1_000         990     100       10.0  5_000_000    4_999_900  vm1:0 up0:0
";
    assert_eq!(table(&world().workers), expected);
}

#[test]
fn drops() {
    let expected = "\
PORT  REASON       PACKETS  MEANING, AND WHAT TO DO
up0   unknown_vni   12_345  No network has this VNI.
                            -> add the network here
";
    assert_eq!(table(&world().drops[..1]), expected);
}

#[test]
fn sums() {
    let expected = "\
rx             1_234_567  received
copies                13  made here: by replication, queries for members, answers, fragments
tx             1_234_500  transmitted
drops                 70  dropped for a reason: ferry show drops
merged                 3  fragments and TCP segments that became part of another packet
held                   7  waiting: for their turn in replication, for other fragments
events lost            0  learning events; traffic repeats them
peers refused          3  VTEPs not learned: too many

up for 1d 1h

MEMPOOL  SOCKET   MBUFS    FREE
ferry-0       0  16_383  15_000
";
    let mut output = Vec::new();
    list::write_totals(&totals(), &mut output).unwrap();
    assert_eq!(plain(output), expected);
}
