//! Ferry's commands on DPDK's telemetry socket, asked by DPDK's own client.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::frames::{PEER1, ethernet, mac, vxlan};
use crate::support::{Ferry, Lab};
use serde_json::{Value, json};

/// What dpdk-telemetry.py prints for some commands, a line each.
fn ask(ferry: &Ferry, commands: &[&str]) -> Vec<Value> {
    let mut command = Command::new("dpdk-telemetry.py");
    command.args(["-f", &format!("ferry-{}", ferry.pid())]).env_remove("RUNTIME_DIRECTORY");
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all((commands.join("\n") + "\n").as_bytes()).unwrap();
    let output = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dpdks_own_client_reads_what_ferry_counts() {
    let lab = Lab::new();
    lab.vm1.send(&ethernet(mac(9), mac(1), 90));
    for _ in 0..3 {
        lab.underlay.send(&vxlan(lab.mac, PEER1, 77, &ethernet(mac(1), mac(9), 60)));
    }
    lab.ferry.expect_place(1000, mac(1), "vm1");
    lab.ferry.expect_dropped("up0", "unknown_vni", 3);
    lab.ferry.expect_balance();

    let commands = [
        "/ferry/ports",
        "/ferry/port,vm1",
        "/ferry/drops",
        "/ferry/drops,up0",
        "/ferry/drops,vm1",
        "/ferry/workers",
        "/ferry/worker,1",
        "/ferry/peers",
        "/ferry/tables",
        "/ferry/totals",
        "/ferry/port,nosuch",
        "/ferry/port",
        "/ferry/worker,x",
        "/ferry/drops,nosuch",
        "/help,/ferry/port",
    ];
    let answers = ask(&lab.ferry, &commands);
    assert_eq!(answers.len(), commands.len(), "{answers:?}");
    let of = |command: &str| {
        let place = commands.iter().position(|of| *of == command).unwrap();
        &answers[place][command.split(',').next().unwrap()]
    };
    assert_eq!(*of("/ferry/ports"), json!(["up0", "vm1", "vm2", "trunk0"]));
    let ports = lab.ferry.show("ports");
    for (key, shown) in [
        ("rx_packets", "rx_packets"),
        ("tx_packets", "tx_packets"),
        ("rx_bytes", "rx_bytes"),
        ("rx_missed", "rx_missed"),
        ("rx_errors", "rx_errors"),
        ("rx_no_buffer", "rx_no_buffer"),
        ("tx_errors", "tx_errors"),
        ("tx_bytes", "tx_bytes"),
        ("dropped_packets", "drops"),
    ] {
        assert_eq!(of("/ferry/port,vm1")[key], ports[1][shown], "{key}");
    }
    assert_eq!(of("/ferry/port,vm1")["link_up"], 1);
    for (command, packets) in
        [("/ferry/drops", 3), ("/ferry/drops,up0", 3), ("/ferry/drops,vm1", 0)]
    {
        assert_eq!(of(command)["unknown_vni"], packets, "{command}");
        assert!(of(command).as_object().unwrap().len() > 30, "{command}");
    }
    assert_eq!(*of("/ferry/workers"), json!(["1"]));
    assert!(of("/ferry/worker,1")["polls"].as_u64().unwrap() > 100);
    assert!(of("/ferry/worker,1")["busy_milliseconds"].is_u64());
    assert_eq!(*of("/ferry/peers"), json!({"resolved": 2, "unresolved": 0, "no_route": 0}));
    assert_eq!(of("/ferry/tables")["macs_learned"], 1);
    assert_eq!(of("/ferry/tables")["mac_limit"], 2 * 8192);
    assert_eq!(of("/ferry/totals")["rx_packets"], lab.ferry.show("totals")["rx"]);
    for wrong in ["/ferry/port,nosuch", "/ferry/port", "/ferry/worker,x", "/ferry/drops,nosuch"] {
        assert_eq!(*of(wrong), Value::Null, "{wrong}");
    }
    assert!(answers.last().unwrap().to_string().contains("Counters of a port"), "{answers:?}");

    // Many at once are answered, and Ferry stops in time whoever is connected.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(ask(&lab.ferry, &["/ferry/totals"; 20]).len(), 20));
        }
    });
    let mut idle = Command::new("dpdk-telemetry.py");
    idle.args(["-f", &format!("ferry-{}", lab.ferry.pid())]).env_remove("RUNTIME_DIRECTORY");
    let mut idle = idle.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    lab.ferry.stop();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    drop(idle.stdin.take());
    idle.wait().unwrap();
}
