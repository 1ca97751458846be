//! What keeps Ferry from starting: one clear line each, exit code 2, nothing left behind.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;

use crate::support::ferry::BINARY;
use crate::support::frames::{BROADCAST, ethernet, mac, vxlan};
use crate::support::{self, Ferry, Namespace, RawPort, eventually};
use tempfile::TempDir;

const GOOD: &str = r#"
eal: {memory: 128MiB}
cores: {control: 0, workers: [1], idle: sleep}
api: {socket: FOLDER/ferry.sock}
underlay:
  ports:
    - {name: up0, device: net_null0, twin: ferry-up0, addresses: [192.0.2.1/24]}
  vtep: {ipv4: 192.0.2.1}
access:
  ports:
    - {name: vm1, device: net_null1}
networks:
  - {vni: 101, name: a, ports: [vm1], flood: {peers: [192.0.2.2]}}
"#;

struct Attempt {
    namespace: Namespace,
    folder: TempDir,
}

impl Attempt {
    fn new() -> Self {
        Self { namespace: Namespace::new("start"), folder: TempDir::new().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, config: &str) -> Output {
        let text = config.replace("FOLDER", &self.path().display().to_string());
        let file = self.path().join("ferry.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = self.namespace.command(BINARY);
        command.args(["run", "-l", "error", "-c"]).arg(&file).output().unwrap()
    }

    /// It must not start, say one line that contains all of `words`, and leave nothing behind.
    fn expect_refusal(&self, config: &str, words: &[&str]) {
        let output = self.run(config);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.lines().count(), 1, "one line: {errors}");
        for word in words {
            assert!(errors.contains(word), "'{word}' in: {errors}");
        }
        let interfaces = self.namespace.exec("ls /sys/class/net");
        assert!(!interfaces.contains("ferry"), "left behind: {interfaces}");
        let left: Vec<_> =
            std::fs::read_dir(self.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["ferry.yaml"], "left behind");
    }
}

/// The good file with one text replaced.
fn but(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from));
    GOOD.replace(from, to)
}

#[test]
fn a_device_that_is_missing() {
    let attempt = Attempt::new();
    attempt.expect_refusal(
        &but("net_null1", "\"net_af_packet1,iface=nosuch0\""),
        &["port vm1", "nosuch0"],
    );
    attempt.expect_refusal(&but("net_null1", "net_nosuch1"), &["port vm1", "net_nosuch1"]);
    attempt.expect_refusal(&but("net_null1", "\"0000:ff:1f.7\""), &["port vm1", "0000:ff:1f.7"]);
}

#[test]
fn a_core_that_is_missing_or_taken() {
    let attempt = Attempt::new();
    attempt.expect_refusal(&but("workers: [1]", "workers: [900]"), &["cores.workers[0]", "900"]);
    attempt.expect_refusal(
        &but("workers: [1], idle: sleep", "workers: [0], idle: spin"),
        &["cores.workers[0]", "control core"],
    );
}

#[test]
fn more_queues_than_the_device_has() {
    let attempt = Attempt::new();
    attempt.expect_refusal(
        &but("device: net_null1", "device: \"net_tap1\", queues: 60"),
        &["port vm1", "60 receive queues"],
    );
}

#[test]
fn an_mtu_that_the_device_does_not_carry() {
    let attempt = Attempt::new();
    attempt.expect_refusal(
        &but("device: net_null1", "device: \"net_tap1\", mtu: 9000"),
        &["port vm1", "MTU 9000", "net_tap has 1504 at most"],
    );
}

#[test]
fn hugepages_or_memory_that_are_missing() {
    let attempt = Attempt::new();
    // More than any machine has: a developer's may have some.
    let config = but("{memory: 128MiB}", "{hugepages: true, memory: 1TiB}");
    attempt.expect_refusal(&config, &["huge", "vm.nr_hugepages"]);
    let config = but("{memory: 128MiB}", "{memory: 1TiB}");
    attempt.expect_refusal(
        &config,
        &["eal.memory is 1048576 MiB, and ", " has ", ": lower eal.memory"],
    );

    // What is advised suffices.
    let config = |memory: &str| {
        let config = but("{memory: 128MiB}", &format!("{{memory: {memory}, mbufs: 60000}}"));
        config.replace("api: {socket: FOLDER/ferry.sock}\n", "")
    };
    let output = attempt.run(&config("64MiB"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("60000 packet buffers need 23"), "{errors}");
    assert!(errors.contains("of eal.memory, 64 MiB, "), "{errors}");
    assert!(errors.contains("or lower eal.mbufs (packets-0: "), "{errors}");
    let advised = errors.split("set eal.memory to ").nth(1).unwrap().split(' ').next().unwrap();
    Ferry::start(&attempt.namespace, &config(advised)).stop();
}

#[test]
fn a_socket_that_is_in_use() {
    let attempt = Attempt::new();
    let socket = attempt.path().join("ferry.sock");
    let other = UnixListener::bind(&socket).unwrap();
    let output = attempt.run(GOOD);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("ferry.sock") && errors.contains("in use"), "{errors}");
    assert!(socket.exists(), "the other's socket stays");
    drop(other);
}

#[test]
fn a_tap_that_another_ferry_has() {
    let attempt = Attempt::new();
    let config = but("net_null1", "\"net_tap1,iface=tap1\"");
    let first =
        Ferry::start(&attempt.namespace, &config.replace("api: {socket: FOLDER/ferry.sock}\n", ""));
    let twin = config.replace("tap1", "tap2");
    for (config, words) in [
        (&config, "port vm1: another process has interface tap1"),
        (&twin, "port ferry-up0: another process has interface ferry-up0"),
    ] {
        let output = attempt.run(config);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
    let ports = first.show("ports");
    let links: Vec<_> = ports.as_array().unwrap().iter().map(|port| &port["link"]).collect();
    assert_eq!(links, ["up", "up", "up"], "the first one has what it had");
    first.stop();
}

#[test]
fn a_listener_that_cannot_be_had() {
    let (attempt, folder) = (Attempt::new(), TempDir::new().unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str, mode| {
        std::fs::write(path(name), text).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let api = |listen: &str| but("ferry.sock}", &format!("ferry.sock, listen: {{{listen}}}}}"));
    let plain = "address: \"127.0.0.1:9472\"";
    let token = |name: &str| api(&format!("{plain}, token: {}", path(name)));
    attempt.expect_refusal(&token("none"), &["/none: the token cannot be read", "(api.listen)"]);
    write("open", "0123456789abcdef\n", 0o644);
    attempt.expect_refusal(&token("open"), &["/open: everybody may read the token"]);
    write("short", "0123456789abcde\n", 0o640);
    attempt.expect_refusal(&token("short"), &["/short: a token is one line of 16 characters"]);

    let certificate = |name: &str| {
        let (key, own) = (path(&format!("{name}.key")), path(&format!("{name}.pem")));
        support::namespace::run(
            "openssl",
            &[
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", &key,
                "-out", &own,
            ],
        );
    };
    certificate("a");
    certificate("b");
    let tls = |certificate: &str, key: &str| {
        let (certificate, key) = (path(certificate), path(key));
        api(&format!("{plain}, tls: {{certificate: {certificate}, key: {key}}}"))
    };
    attempt.expect_refusal(&tls("none", "a.key"), &["/none: the certificate cannot be read"]);
    attempt.expect_refusal(&tls("a.key", "a.key"), &["/a.key: there is no certificate in it"]);
    attempt.expect_refusal(&tls("a.pem", "a.pem"), &["/a.pem: there is no private key in it"]);
    attempt.expect_refusal(&tls("a.pem", "b.key"), &["/b.key: no key for", "/a.pem"]);
    let taken = attempt.namespace.inside(|| std::net::TcpListener::bind("127.0.0.1:9472").unwrap());
    attempt.expect_refusal(&api(plain), &["cannot listen at 127.0.0.1:9472", "in use"]);
    drop(taken);
}

#[test]
fn a_configuration_that_is_wrong() {
    let attempt = Attempt::new();
    attempt.expect_refusal("underlay: [1, 2\nx: {", &["ferry.yaml:"]);
    attempt
        .expect_refusal(&format!("{GOOD}  - {{vni: 101, name: b}}\n"), &["networks[1].vni", "101"]);
    attempt.expect_refusal(&but("name: a,", "nam: a, name: a,"), &["nam", "did you mean 'name'"]);
    let twice = format!("{GOOD}  - {{vni: 102, name: b, ports: [vm1]}}\n");
    attempt.expect_refusal(&twice, &["networks[1].ports[0]", "network 'a'"]);
    attempt.expect_refusal(
        &but("[192.0.2.2]", "[192.0.2.1]"),
        &["networks[0].flood.peers[0]", "192.0.2.1"],
    );
}

#[test]
fn what_others_bring_about_fills_no_disk_and_each_line_is_json() {
    let (host, wires) = (Namespace::new("host"), Namespace::new("wires"));
    host.veth("eth1", &wires, "under");
    let config = r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_af_packet0,iface=eth1", twin: twin0, addresses: [192.0.2.1/24]}]
  vtep: {ipv4: 192.0.2.1}
access: {ports: [{name: vm1, device: net_null0}]}
networks: [{vni: 1000, name: a, ports: [vm1], flood: {peers: learn}}]
"#;
    let environment = [("FERRY_LOG_FORMAT", "json"), ("FERRY_LOG_LIMIT", "7")];
    let ferry = Ferry::start_with(&host, config, &environment);
    let (wire, ours) = (RawPort::open(&wires, "under"), host.mac("eth1"));
    // Of a burst only the first few strangers are told of.
    let known = || {
        for number in 0..50 {
            let inner = ethernet(BROADCAST, mac(number), 60);
            wire.send(&vxlan(ours, [192, 0, 2, 100 + number], 1000, &inner));
        }
        ferry.show("peers").as_array().unwrap().len() == 50
    };
    eventually("forged senders are peers", known);
    let log = ferry.stop_and_log();
    let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> =
        lines.map(|line| line.unwrap_or_else(|error| panic!("{error}: {log}"))).collect();
    let text = |line: &serde_json::Value| line["message"].as_str().unwrap().to_owned();
    let learned = lines.iter().filter(|line| text(line).ends_with(": learned")).count();
    let withheld = lines.iter().find(|line| line["of"] == "ferry::control::learned_peers").unwrap();
    assert_eq!((learned, &withheld["withheld"]), (8, &(50 - 7).into()), "{log}");
    assert!(text(withheld).starts_with("too many lines, the first like: peer 192.0.2."), "{log}");
    assert_eq!(withheld["level"], "WARN");
    // What somebody wants to know in every detail has no limit.
    assert!(lines.iter().filter(|line| line["level"] == "DEBUG").count() > 0);
}
