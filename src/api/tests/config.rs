//! The running configuration, shown and changed by requests.

use serde_json::Value;

use super::fake::{Fake, config, raw, world};

/// Status, ETag and body of the answer to a request with further headers.
fn request(
    fake: &Fake,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> (u16, String, Value) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    let answer =
        raw(&fake.socket(), &format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
    (head[9..12].parse().unwrap(), tag.to_owned(), serde_json::from_str(body).unwrap())
}

fn error(answer: (u16, String, Value)) -> (u16, String) {
    (answer.0, answer.2["error"].as_str().unwrap().to_owned())
}

#[test]
fn what_is_shown_can_be_put_back() {
    let fake = Fake::new(world());
    let get = || request(&fake, "GET", "/v1/config", &[], "");
    let (status, tag, shown) = get();
    assert_eq!((status, &shown), (200, &config().render()));
    let put = |headers: &[&str], body: &Value| {
        request(&fake, "PUT", "/v1/config", headers, &body.to_string())
    };
    let (status, same, changed) = put(&[], &shown);
    assert_eq!((status, same), (200, tag.clone()));
    assert_eq!(changed["differences"], Value::Array(vec![]));

    let mut other = shown.clone();
    other["networks"][0]["ageing"] = "60s".into();
    let condition = format!("if-match: {tag}");
    let (status, new, changed) = put(&[&condition], &other);
    assert_eq!((status, new == tag), (200, false));
    let difference = &changed["differences"][0];
    assert_eq!((&difference["resource"], &difference["name"]), (&"network".into(), &"101".into()));
    let key: Value = serde_json::json!({"key": "ageing", "old": "300s", "new": "60s"});
    assert_eq!(difference["keys"][0], key);
    assert_eq!(get(), (200, new.clone(), other.clone()));

    // Who has seen the version before is told so, also for a dry run, and changes nothing.
    for path in ["/v1/config", "/v1/config?dry_run=true"] {
        let refused = error(request(&fake, "PUT", path, &[&condition], &shown.to_string()));
        assert_eq!(refused, (412, format!("the configuration has changed: its ETag is {new} now")));
    }
    assert_eq!(put(&["if-match: *"], &other).1, new);
    assert_eq!(get(), (200, new, other));
}

#[test]
fn a_dry_run_changes_nothing_and_says_all() {
    let fake = Fake::new(world());
    let mut wanted = config().render();
    wanted["cores"]["workers"] = serde_json::json!([2]);
    wanted["networks"].as_array_mut().unwrap().pop();
    let body = wanted.to_string();
    let before = request(&fake, "GET", "/v1/config", &[], "");
    let (status, tag, changed) = request(&fake, "PUT", "/v1/config?dry_run=true", &[], &body);
    assert_eq!((status, &tag), (200, &before.1));
    let list = changed["differences"].as_array().unwrap();
    let told: Vec<_> = list.iter().map(|of| (&of["resource"], &of["needs_restart"])).collect();
    assert_eq!(told, [(&"cores".into(), &true.into()), (&"network".into(), &false.into())]);
    let refused = error(request(&fake, "PUT", "/v1/config", &[], &body));
    let told = "a running Ferry cannot change this, so nothing was changed; \
                start it anew, or leave as it is: cores changed (workers)";
    assert_eq!(refused, (409, told.to_owned()));
    assert_eq!(request(&fake, "GET", "/v1/config", &[], ""), before);
    let refused = error(request(&fake, "PUT", "/v1/config?dry=true", &[], &body));
    assert_eq!(refused.0, 400, "{refused:?}");
}

#[test]
fn networks_have_addresses_of_their_own() {
    let fake = Fake::new(world());
    let path = "/v1/networks/103";
    let put = |headers: &[&str], body| request(&fake, "PUT", path, headers, body);
    let (status, tag, _) = put(&["if-none-match: *"], "name: c");
    assert_eq!(status, 200);
    assert_eq!(put(&[], "{\"name\": \"c\"}").1, tag, "the same again is no change");
    let refused = error(put(&["if-none-match: *"], "name: c"));
    assert_eq!(refused, (412, "there is a network 103 already: 'c'".to_owned()));
    let refused = error(put(&["if-match: \"0-0\""], "name: d"));
    assert_eq!(refused.0, 412, "{refused:?}");
    let refused = error(put(&[], "name: tenant-b"));
    assert_eq!(refused.0, 400, "{refused:?}");
    assert!(refused.1.starts_with("body:1: name: 'tenant-b' is already given by"), "{refused:?}");
    let refused = error(request(&fake, "PUT", "/v1/networks/16777216", &[], "name: d"));
    assert_eq!(refused.0, 400, "{refused:?}");
    let remove = || request(&fake, "DELETE", path, &[], "").2["differences"].clone();
    assert_eq!((remove()[0]["fate"].clone(), remove()), ("removed".into(), Value::Array(vec![])));

    let (status, _, network) = request(&fake, "GET", "/v1/networks/101", &[], "");
    assert_eq!((status, network["name"].as_str()), (200, Some("tenant-101")));
    assert_eq!(error(request(&fake, "GET", path, &[], "")).0, 404);
}

#[test]
fn requests_that_come_between_do_not_get_lost() {
    let fake = Fake::new(world());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let fake = &fake;
            scope.spawn(move || {
                for round in 0..5 {
                    let vni = 200 + number * 10 + round;
                    let body = format!("name: n{vni}");
                    let path = format!("/v1/networks/{vni}");
                    assert_eq!(request(fake, "PUT", &path, &[], &body).0, 200);
                }
            });
        }
    });
    let (_, _, shown) = request(&fake, "GET", "/v1/config", &[], "");
    assert_eq!(shown["networks"].as_array().unwrap().len(), 22);
}
