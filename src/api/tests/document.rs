//! The API's description.

use serde_json::Value;

use super::fake::{Fake, raw, world};
use crate::api::client::Client;

/// Every `$ref` in a value.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn what_is_described_is_there_and_nothing_else() {
    let fake = Fake::new(world());
    let document: Value = Client::connect(&fake.socket()).unwrap().get("/v1/openapi.json").unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 23);
    for (path, operations) in paths {
        for method in ["get", "put", "delete", "post"] {
            // A body that is no YAML, and a network that is not there: no more than an error.
            let target = path.replace("{vni}", "4711").replace(['{', '}'], "");
            let request = format!(
                "{} {target}?wrong=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n[",
                method.to_uppercase()
            );
            if method == "get" && path == "/v1/events" {
                continue;
            }
            let refused = raw(&fake.socket(), &request).starts_with("HTTP/1.1 405 ");
            assert_eq!(refused, operations.get(method).is_none(), "{method} {path}");
        }
    }
}

#[test]
fn the_description_is_whole() {
    let fake = Fake::new(world());
    let document: Value = Client::connect(&fake.socket()).unwrap().get("/v1/openapi.json").unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 40);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let parameters = document["paths"]["/v1/macs"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|of| of["name"].as_str().unwrap()).collect();
    let all = ["vni", "mac", "port", "peer", "kind", "min_age", "max_age", "limit", "after"];
    assert_eq!(names, all);
    let port = &document["components"]["schemas"]["Port"];
    assert_eq!(port["properties"]["mtu"]["type"], "integer");
    assert!(port["properties"]["rx_bytes"]["description"].as_str().unwrap().contains("FCS"));
}
