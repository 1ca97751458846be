//! Storm control on the wire: each kind is bounded by itself, known unicast never. Case B8 of a VTEP's wire-level
//! behaviour is a limit of zero.

use std::time::{Duration, Instant};

use crate::support::frames::{BROADCAST, PEER1, PEER2, ethernet, is_vxlan_to, mac, vxlan};
use crate::support::{self, Lab};

const MULTICAST: [u8; 6] = [1, 0, 0x5e, 1, 2, 3];

fn network(storm: &str) -> String {
    format!(
        "\n  - {{vni: 1000, name: a, ports: [vm1, vm2], flood: {{peers: [192.0.2.2]}}, {storm}, \
         macs: [{{mac: \"02:00:00:00:aa:02\", port: vm2}}]}}\n"
    )
}

fn json(lab: &Lab, what: &str, name: &str) -> serde_json::Value {
    let rows = lab.ferry.show(what);
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
    row["storm_control"].clone()
}

#[test]
fn b8_unknown_unicast_may_be_kept_back_while_all_else_flows() {
    let lab = Lab::with(&network("storm_control: {unknown_unicast: 0}"));
    let unknown = ethernet(mac(77), mac(1), 60);
    lab.vm1.send(&unknown);
    lab.ferry.expect_dropped("vm1", "storm_unknown_unicast", 1);
    lab.expect_silence(&[]);
    for frame in [ethernet(BROADCAST, mac(1), 60), ethernet(MULTICAST, mac(1), 60)] {
        lab.vm1.send(&frame);
        lab.vm2.expect_frame(&frame);
        lab.underlay.expect("the copy", is_vxlan_to(PEER1));
    }
    let known = ethernet(mac(2), mac(1), 60);
    lab.vm1.send(&known);
    lab.vm2.expect_frame(&known);
    // What a tunnel brings was limited where it came in.
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(77), mac(9), 60)));
    lab.vm2.expect_frame(&ethernet(mac(77), mac(9), 60));
    assert_eq!(
        json(&lab, "networks", "a"),
        serde_json::json!({"unknown_unicast": {"limit": 0, "dropped": 1}})
    );
    lab.finish();
}

#[test]
fn a_storm_is_cut_to_rate_and_burst_on_the_port_that_makes_it() {
    const SENT: usize = 2000;
    const RATE: f64 = 500.0;
    const BURST: f64 = 50.0;
    let limits = "storm_control: {broadcast: 500, multicast: 500, burst: 50}";
    let lab = Lab::with_port(limits, &network("learning: true"));
    for (kind, to) in [("storm_broadcast", BROADCAST), ("storm_multicast", MULTICAST)] {
        let start = Instant::now();
        for number in 0..SENT {
            // The device's ring is short.
            if number % 50 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            lab.vm1.send(&ethernet(to, mac(1), 60));
            // Not limited, so not one of them is missing.
            lab.vm1.send(&ethernet(mac(2), mac(1), 60));
        }
        support::eventually("all have arrived", || {
            let ports = lab.ferry.show("ports");
            let vm1 = ports.as_array().unwrap().iter().find(|row| row["name"] == "vm1").unwrap();
            vm1["rx_packets"].as_u64().unwrap().is_multiple_of(2 * SENT as u64)
        });
        let seconds = start.elapsed().as_secs_f64();
        let dropped = lab.ferry.dropped("vm1", kind) as usize;
        let flooded = lab.vm2.drain().iter().filter(|frame| frame[..6] == to).count();
        assert_eq!(flooded + dropped, SENT, "{kind}");
        let (least, most) = (BURST, BURST + RATE * seconds + 1.0);
        assert!(
            (least..=most).contains(&(flooded as f64)),
            "{kind}: {flooded} flooded in {seconds:.3} s, not {least} to {most}"
        );
        assert_eq!(lab.underlay.drain().len(), flooded, "{kind}");
    }
    // Another port is not limited.
    for _ in 0..200 {
        lab.vm2.send(&ethernet(BROADCAST, mac(2), 60));
    }
    for _ in 0..200 {
        lab.vm1.expect_frame(&ethernet(BROADCAST, mac(2), 60));
    }
    let port = json(&lab, "ports", "vm1");
    assert_eq!(port["broadcast"]["limit"], 500);
    assert_eq!(port["broadcast"]["dropped"], lab.ferry.dropped("vm1", "storm_broadcast"));
    assert_eq!(lab.ferry.drops().len(), 2, "{:?}", lab.ferry.drops());
    lab.finish();
}

#[test]
fn a_networks_limit_is_shared_by_its_ports() {
    let lab = Lab::with(&network("storm_control: {broadcast: 1, burst: 10}"));
    for (port, number) in [(&lab.vm1, 1), (&lab.vm2, 2)] {
        for _ in 0..20 {
            port.send(&ethernet(BROADCAST, mac(number), 60));
        }
    }
    support::eventually("both have arrived", || {
        let drops = |port| lab.ferry.dropped(port, "storm_broadcast");
        // A second or two may pass on a busy machine, and each brings one more.
        (26..=30).contains(&(drops("vm1") + drops("vm2")))
    });
    assert!(lab.ferry.drops().len() <= 2, "{:?}", lab.ferry.drops());
    assert!(lab.underlay.drain().iter().all(|packet| !is_vxlan_to(PEER2)(packet)));
    lab.finish();
}
