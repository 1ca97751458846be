//! What Prometheus gets of a running Ferry.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::frames::{PEER1, ethernet, mac, vxlan};
use crate::support::lab::NETWORKS;
use crate::support::prometheus::{promtool, samples};
use crate::support::{Lab, eventually};
use serde_json::{Value, json};

#[test]
fn metrics_say_what_show_says_and_promtool_has_no_complaint() {
    let lab = Lab::new();
    lab.vm1.send(&ethernet(mac(9), mac(1), 90));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(mac(1), mac(9), 60)));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 77, &ethernet(mac(1), mac(9), 60)));
    lab.ferry.expect_place(1000, mac(9), "192.0.2.2");
    lab.ferry.expect_dropped("up0", "unknown_vni", 1);
    lab.ferry.expect_balance();

    let text = lab.ferry.get("/metrics");
    promtool(&["check", "metrics"], &text);
    let samples = samples(&text);
    let of = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    for port in lab.ferry.show("ports").as_array().unwrap() {
        let [name, role] = ["name", "role"].map(|key| port[key].as_str().unwrap());
        for (metric, key) in [
            ("receive_packets", "rx_packets"),
            ("receive_bytes", "rx_bytes"),
            ("receive_missed_packets", "rx_missed"),
            ("receive_errors", "rx_errors"),
            ("receive_no_buffer", "rx_no_buffer"),
            ("transmit_errors", "tx_errors"),
            ("transmit_packets", "tx_packets"),
            ("transmit_bytes", "tx_bytes"),
            ("dropped_packets", "drops"),
        ] {
            let metric = format!("ferry_port_{metric}_total{{port=\"{name}\",role=\"{role}\"}}");
            assert_eq!(of(&metric), port[key].as_f64().unwrap(), "{metric}");
        }
        assert_eq!(of(&format!("ferry_port_up{{port=\"{name}\",role=\"{role}\"}}")), 1.0);
    }
    assert_eq!(of("ferry_port_receive_packets_total{port=\"vm1\",role=\"access\"}"), 1.0);
    assert_eq!(of("ferry_dropped_packets_total{port=\"up0\",reason=\"unknown_vni\"}"), 1.0);
    assert_eq!(of("ferry_peers{state=\"resolved\"}"), 2.0);
    assert_eq!(of("ferry_networks"), 2.0);
    assert_eq!(of("ferry_table_entries{table=\"macs\",kind=\"learned\"}"), 2.0);
    assert_eq!(of("ferry_table_limit_entries{table=\"macs\"}"), 16384.0);
    assert_eq!(of("ferry_table_fullest_ratio{table=\"macs\"}"), 2.0 / 8192.0);
    let (busy, idle) = ("{core=\"1\",mode=\"busy\"}", "{core=\"1\",mode=\"idle\"}");
    let seconds = |mode: &str| of(&format!("ferry_worker_seconds_total{mode}"));
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = age - Duration::from_secs_f64(of("ferry_start_time_seconds"));
    assert!(seconds(busy) > 0.0 && seconds(busy) + seconds(idle) < age.as_secs_f64(), "{text}");
    lab.finish();
}

#[test]
fn what_networks_and_peers_carry_is_counted_where_it_is_asked_for() {
    let lab =
        Lab::with(&format!("{NETWORKS}\napi: {{metrics: {{networks: true, peers: true}}}}\n"));
    let (near, far, unknown) = (mac(1), mac(9), mac(77));
    lab.underlay.send(&vxlan(lab.mac, PEER1, 1000, &ethernet(near, far, 100)));
    lab.ferry.expect_place(1000, far, "192.0.2.2");
    for _ in 0..3 {
        lab.vm1.send(&ethernet(far, near, 60));
    }
    // To the other port, and to both peers.
    lab.vm1.send(&ethernet(unknown, near, 200));
    let carried = || {
        let of = |list: &str, key: &str, wanted: Value, fields: [&str; 2]| {
            let list = lab.ferry.show(list);
            let one =
                list.as_array().unwrap().iter().find(|one| one[key] == wanted).unwrap().clone();
            fields.map(|field| ["packets", "bytes"].map(|key| one[field][key].as_u64().unwrap()))
        };
        (
            of("networks", "vni", json!(1000), ["from_ports", "from_peers"]),
            of("networks", "vni", json!(2000), ["from_ports", "from_peers"]),
            of("peers", "address", json!("192.0.2.2"), ["sent", "received"]),
            of("peers", "address", json!("192.0.2.3"), ["sent", "received"]),
        )
    };
    let nothing = [[0, 0]; 2];
    let wanted = ([[4, 380], [1, 100]], nothing, [[4, 380], [1, 100]], [[1, 200], [0, 0]]);
    eventually("all is counted", || carried() == wanted);
    let text = lab.ferry.get("/metrics");
    promtool(&["check", "metrics"], &text);
    let samples = samples(&text);
    for (name, value) in [
        ("network_packets_total{vni=\"1000\",network=\"a\",from=\"ports\"}", 4.0),
        ("network_bytes_total{vni=\"1000\",network=\"a\",from=\"peers\"}", 100.0),
        ("peer_transmit_packets_total{peer=\"192.0.2.2\",encap=\"vxlan\",id=\"\"}", 4.0),
        ("peer_receive_bytes_total{peer=\"192.0.2.2\",encap=\"vxlan\",id=\"\"}", 100.0),
    ] {
        assert_eq!(samples.get(&format!("ferry_{name}")), Some(&value), "{name} in {text}");
    }
    lab.finish();
}

#[test]
fn what_tenants_bring_makes_no_rows_and_networks_do_only_where_asked_for() {
    let rows = |networks: &str| {
        let lab = Lab::with(&format!("{networks}\napi: {{metrics: {{networks: true}}}}\n"));
        let before = lab.ferry.get("/metrics");
        for number in 1..=200 {
            lab.vm1.send(&ethernet(mac(255), mac(number), 60));
        }
        eventually("200 MACs", || {
            let learned = "ferry_network_table_entries{vni=\"1000\",network=\"a\",table=\"macs\",kind=\"learned\"}";
            samples(&lab.ferry.get("/metrics")).get(learned) == Some(&200.0)
        });
        let after = lab.ferry.get("/metrics");
        promtool(&["check", "metrics"], &after);
        assert_eq!(before.lines().count(), after.lines().count(), "{after}");
        lab.finish();
        samples(&after).into_keys().filter(|name| name.starts_with("ferry_network_")).count()
    };
    let (one, two) = (rows(NETWORKS.trim_end().rsplit_once('\n').unwrap().0), rows(NETWORKS));
    assert_eq!(two, 2 * one);
    assert!(one > 5);
    let lab = Lab::new();
    assert!(!lab.ferry.get("/metrics").contains("ferry_network_"));
    lab.finish();
}

#[test]
fn alerts_fire_where_they_should_and_the_dashboard_asks_for_what_there_is() {
    let path = |path: &str| format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let read = |of: &str| std::fs::read_to_string(path(of)).unwrap();
    promtool(&["check", "rules", &path("configs/monitoring/alerts.yaml")], "");
    promtool(&["test", "rules", &path("tests/alerts.yaml")], "");

    let dashboard: Value = serde_json::from_str(&read("configs/monitoring/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 10);
    let rule = |(number, query): (usize, &&str)| {
        let query = query.replace("$instance", ".*").replace("$__rate_interval", "5m");
        json!({"record": format!("panel{number}"), "expr": query})
    };
    let rules: Vec<_> = queries.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yaml");
    let groups = json!({"groups": [{"name": "panels", "rules": rules}]});
    std::fs::write(&file, groups.to_string()).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");

    let lab =
        Lab::with(&format!("{NETWORKS}\napi: {{metrics: {{networks: true, peers: true}}}}\n"));
    let text = lab.ferry.get("/metrics");
    let known: HashSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next())
        .collect();
    let used = read("configs/monitoring/alerts.yaml") + &queries.join("\n");
    let words = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let used: HashSet<_> = words.filter(|word| word.starts_with("ferry_")).collect();
    assert!(used.len() > 15, "{used:?}");
    assert!(used.is_subset(&known), "{:?}", used.difference(&known));
    lab.finish();
}

#[test]
fn counts_of_networks_that_are_gone_stay() {
    let lab = Lab::new();
    lab.vm1.send(&ethernet(mac(9), mac(1), 90));
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.vm2.send(&ethernet(mac(9), mac(1), 90));
    lab.ferry.expect_place(1000, mac(1), "vm2");
    let moves = || samples(&lab.ferry.get("/metrics"))["ferry_mac_moves_total"];
    assert_eq!(moves(), 1.0);
    lab.ferry.expect_change("net del 1000", "");
    assert_eq!(moves(), 1.0);
    lab.ferry.stop();
}
