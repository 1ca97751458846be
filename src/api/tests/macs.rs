//! Other static MACs for a network, as requests ask for them.

use std::path::Path;

use super::fake::{Fake, raw, world};
use crate::api::client::{Client, ClientError};
use crate::api::edit::LARGEST;

const SET: &str = r#"[{"mac": "02:00:00:00:00:05", "peer": "192.0.2.2", "ips": ["10.0.0.5"]}]"#;

fn replace(fake: &Fake, vni: u32, set: &str) -> Result<String, (u16, String)> {
    let mut client = Client::connect(&fake.socket()).unwrap();
    match client.replace_macs(vni, set.to_owned(), Path::new("new/set.yaml"), false) {
        Ok(changes) => Ok(changes.to_string()),
        Err(ClientError::Refused { status, error }) => Err((status.as_u16(), error)),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_set_is_taken_whole_or_refused_whole() {
    let fake = Fake::new(world());
    let changed = "MACs: 1 added, 0 changed, 2 removed, 0 kept; \
                   addresses: 1 added, 0 changed, 0 removed, 0 kept";
    assert_eq!(replace(&fake, 101, SET), Ok(changed.to_owned()));
    let wrong =
        "- {mac: \"02:00:00:00:00:05\", peer: 192.0.2.2}\n- {mac: 5, peer: 192.0.2.2}\n- {}";
    let (status, error) = replace(&fake, 101, wrong).unwrap_err();
    assert_eq!(status, 400);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines[0].starts_with("new/set.yaml:2: macs[1].mac: expected a"), "{error}");
    let three: String =
        (5..8).map(|last| format!("- {{mac: \"02:00:00:00:00:0{last}\", port: vm1}}\n")).collect();
    let told = "no memory for 2 of the static MACs and addresses; nothing was changed";
    assert_eq!(replace(&fake, 101, &three), Err((507, told.to_owned())));
    let told = "no network has the VNI 103; did you mean 101?";
    assert_eq!(replace(&fake, 103, SET), Err((404, told.to_owned())));
    assert_eq!(replace(&fake, 102, SET), Err((503, "Ferry is stopping".to_owned())));
}

#[test]
fn what_is_no_set_at_all_is_refused() {
    let fake = Fake::new(world());
    let request = |method: &str, path: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close");
        raw(&fake.socket(), &format!("{head}\r\ncontent-length: 2\r\n\r\n[]"))
    };
    let path = "/v1/networks/101/macs";
    let told = "a body has 64 MiB at most".to_owned();
    assert_eq!(replace(&fake, 101, &" ".repeat(LARGEST + 1)), Err((413, told)));
    let answer = request("GET", path);
    assert!(answer.ends_with("{\"error\":\"/v1/networks/101/macs cannot be GET; it can be PUT\"}"));
    let answer = request("PUT", "/v1/networks/a/macs");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("{\"error\":\""), "{answer}");
}
