//! The API over TCP, asked by curl.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::namespace::run;
use crate::support::{Ferry, Namespace};

const CONFIG: &str = r#"
eal: {memory: 128MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_null0"}]
  vtep: {ipv4: 192.0.2.1}
  neighbours: [{ip: 192.0.2.2, mac: "02:00:00:00:00:02", port: up0}]
access: {ports: [{name: vm1, device: "net_null1"}]}
networks: [{vni: 101, name: a, ports: [vm1], flood: {peers: [192.0.2.2]}}]
"#;

/// What curl gets: the status, 0 where there is none, and the body.
fn curl(host: &Namespace, arguments: &[&str]) -> (u32, String) {
    let mut command = host.command("curl");
    let output = command.args(["-sS", "-m", "5", "-w", "\n%{http_code}"]).args(arguments).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn on_loopback_everything_can_be_read_and_nothing_changed() {
    let host = Namespace::new("host");
    let ferry = Ferry::start(&host, &format!("{CONFIG}\napi: {{listen: 127.0.0.1:9472}}\n"));
    let at = |path: &str| format!("http://127.0.0.1:9472{path}");
    let (status, peers) = curl(&host, &[&at("/v1/peers")]);
    assert_eq!((status, peers), (200, ferry.get("/v1/peers")));
    assert!(curl(&host, &[&at("/metrics")]).1.contains("\nferry_networks 1\n"));
    for change in [&["-X", "DELETE"], &["-T", "/dev/null"]] {
        let (status, error) = curl(&host, &[change, &[&*at("/v1/networks/101")][..]].concat());
        assert_eq!(status, 403, "{error}");
    }
    // A check of a configuration is no change; but a name that leads here is a stranger's.
    let wrong = ["-X", "PUT", "-d", "x: 1", &at("/v1/config?dry_run=true")];
    let (status, error) = curl(&host, &wrong);
    assert_eq!((status, error.contains("x: unknown key")), (400, true), "{error}");
    for change in ["/v1/config", "/v1/config?dry_run=false", "/v1/networks/101?dry_run=true"] {
        assert_eq!(curl(&host, &["-X", "PUT", "-d", "x: 1", &at(change)]).0, 403, "{change}");
    }
    for (name, status) in [("localhost", 200), ("[::1]:9472", 200), ("ferry.example", 403)] {
        let header = format!("Host: {name}");
        assert_eq!(curl(&host, &["-H", &header, &at("/v1/peers")]).0, status, "{name}");
    }
    assert_eq!(ferry.show("networks").as_array().unwrap().len(), 1);
    let (code, ..) = ferry.change("apply -", &format!("{CONFIG}\napi: {{listen: 127.0.0.1:1}}\n"));
    assert_eq!(code, 1, "the listener stays until a new start");
    ferry.stop();
}

#[test]
fn elsewhere_a_session_of_tls_and_the_token_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, certificate, token) = (path("key.pem"), path("certificate.pem"), path("token"));
    let names = "subjectAltName=IP:127.0.0.1,IP:127.0.0.2";
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let of = ["-subj", "/CN=ferry", "-addext", names, "-keyout", &key, "-out", &certificate];
    run("openssl", &[&new[..], &of[..]].concat());
    std::fs::write(&token, "a-secret-of-this-test\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = format!("tls: {{certificate: {certificate}, key: {key}}}, token: {token}");
    let host = Namespace::new("host");
    let api = format!("api: {{listen: {{address: \"0.0.0.0:9472\", {tls}}}}}");
    let ferry = Ferry::start(&host, &format!("{CONFIG}\n{api}\n"));
    let shown = ferry.show("config");
    assert_eq!(shown["api"]["listen"]["token"], token);

    let peers = "https://127.0.0.2:9472/v1/peers";
    let trust = ["--cacert", &certificate];
    let ask = |more: &[&str]| curl(&host, &[&trust, more].concat());
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let right = bearer("a-secret-of-this-test");
    assert_eq!(ask(&["-H", &right, peers]), (200, ferry.get("/v1/peers")));
    for wrong in [bearer("a-secret-of-this-tesT"), bearer(""), "Host: x".to_owned()] {
        for path in ["/v1/peers", "/metrics", "/nothing"] {
            let (status, body) = ask(&["-H", &wrong, &format!("https://127.0.0.1:9472{path}")]);
            assert_eq!((status, body.contains("must carry the token")), (401, true), "{wrong}");
        }
    }
    assert_eq!(curl(&host, &["-H", &right, peers]).0, 0, "who does not know the certificate");
    assert_eq!(curl(&host, &["-H", &right, "http://127.0.0.1:9472/v1/peers"]).0, 0, "plain");

    // Who says nothing holds up nobody.
    let mute: Vec<_> = (0..10)
        .map(|_| host.inside(|| std::net::TcpStream::connect("127.0.0.1:9472").unwrap()))
        .collect();
    let begin = Instant::now();
    let network = "https://127.0.0.1:9472/v1/networks/101";
    let (status, body) = ask(&["-H", &right, "-X", "DELETE", network]);
    assert_eq!(status, 200, "{body}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(ferry.show("networks").as_array().unwrap().len(), 0);
    drop(mute);
    ferry.stop();
}
