//! What requests are answered.

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fake::{Fake, World, ip, mac, raw, serve, totals, version, world};
use crate::api::client::{Client, ClientError};
use crate::api::model::{
    DropCount, Group, MacKind, NeighbourKind, Network, Peer, Port, Totals, Version, Worker,
};
use crate::api::{self, MacFilter, MacPage, NeighbourFilter, Query, REPLY_TIMEOUT, Unanswered};

fn refusal(client: &mut Client, path: &str) -> (u16, String) {
    match client.get::<Value>(path) {
        Err(ClientError::Refused { status, error }) => (status.as_u16(), error),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn every_resource_arrives_as_the_control_core_gave_it() {
    let (fake, world) = (Fake::new(world()), world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    assert_eq!(client.get::<Vec<Port>>("/v1/ports").unwrap(), world.ports);
    assert_eq!(client.get::<Vec<Network>>("/v1/networks").unwrap(), world.networks);
    assert_eq!(client.macs(&MacFilter::default()).unwrap(), world.macs);
    assert_eq!(client.neighbours(&NeighbourFilter::default()).unwrap(), world.neighbours);
    assert_eq!(client.get::<Vec<Group>>("/v1/groups").unwrap(), world.groups);
    assert_eq!(client.get::<Vec<Peer>>("/v1/peers").unwrap(), world.peers);
    assert_eq!(client.get::<Vec<Worker>>("/v1/workers").unwrap(), world.workers);
    assert_eq!(client.get::<Vec<DropCount>>("/v1/drops").unwrap(), world.drops[..1]);
    assert_eq!(client.get::<Vec<DropCount>>("/v1/drops?all=true").unwrap(), world.drops);
    assert_eq!(client.get::<Totals>("/v1/totals").unwrap(), totals());
    assert_eq!(client.get::<Version>("/v1/version").unwrap(), version());
}

#[test]
fn json_says_absent_places_by_leaving_them_out_and_unknown_quantities_by_null() {
    let fake = Fake::new(world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    let ports: Value = client.get("/v1/ports").unwrap();
    assert_eq!(ports[0]["role"], "access");
    assert_eq!(ports[0].get("speed_mbps"), Some(&Value::Null));
    let macs: Value = client.get("/v1/macs").unwrap();
    assert_eq!(macs[0].get("peer"), None);
    assert_eq!(macs[0].get("age_seconds"), Some(&Value::Null));
    let peers: Value = client.get("/v1/peers").unwrap();
    assert_eq!(peers[1]["state"], "no_route");
}

#[test]
fn macs_come_in_pages_each_one_once() {
    let macs: Vec<_> = (0..25_500).map(|number| mac(101 + number / 20_000, number)).collect();
    let fake = Fake::new(World { macs: macs.clone(), ..World::default() });
    let mut client = Client::connect(&fake.socket()).unwrap();
    let first: Value = client.get("/v1/macs").unwrap();
    assert_eq!(first.as_array().map(Vec::len), Some(MacFilter::USUAL));
    assert_eq!(client.macs(&MacFilter::default()).unwrap(), macs);
    let largest = MacFilter { limit: Some(MacFilter::MOST), ..MacFilter::default() };
    assert_eq!(client.macs(&largest).unwrap(), macs);

    // The stand-in looks at a page's worth of MACs at once, so those of network 102 come after empty pages.
    let of_network = client.macs(&MacFilter { vni: Some(102), ..MacFilter::default() }).unwrap();
    assert_eq!(of_network, macs[20_000..]);
    let port = MacFilter { port: Some("vm1".to_owned()), ..MacFilter::default() };
    let of_port: HashSet<_> = client.macs(&port).unwrap().into_iter().map(|mac| mac.mac).collect();
    assert_eq!(of_port.len(), macs.len() / 2);
    let peer = MacFilter { peer: Some(ip("192.0.2.2")), ..MacFilter::default() };
    assert!(client.macs(&peer).unwrap().iter().all(|mac| mac.place.port.is_none()));
    let mut of = |filter: MacFilter| client.macs(&filter).unwrap();
    let (fixed, young) = (MacKind::Static, Some(2 * 61));
    assert_eq!(of(MacFilter { kind: Some(fixed), ..Default::default() }), macs[..1]);
    assert_eq!(of(MacFilter { max_age: young, ..Default::default() }), macs[1..3], "no static one");
    assert_eq!(of(MacFilter { min_age: young, ..Default::default() }), macs[2..]);
    let begins = |text: &str| MacFilter { mac: Some(text.parse().unwrap()), ..Default::default() };
    let one = &macs[17].mac;
    for whole in [one.clone(), one.to_uppercase().replace(':', "-"), one.replace(':', "")] {
        assert_eq!(of(begins(&whole)), macs[17..18], "{whole}");
    }
    let alike = of(begins(&one[..14]));
    assert!(alike.len() > 1 && alike.len() < macs.len(), "{}", alike.len());
    assert!(alike.iter().all(|mac| mac.mac[..14] == one[..14]));
    let nobody = MacFilter { peer: Some(ip("2001:db8::9")), ..MacFilter::default() };
    assert_eq!(client.macs(&nobody).unwrap(), []);
}

#[test]
fn addresses_are_listed_by_mac_and_kind() {
    let (fake, world) = (Fake::new(world()), world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    let mut of = |filter: NeighbourFilter| client.neighbours(&filter).unwrap();
    let mac = Some("02:00:00:00:00:02".to_owned());
    assert_eq!(of(NeighbourFilter { mac, ..Default::default() }), world.neighbours[1..]);
    let kind = Some(NeighbourKind::Static);
    assert_eq!(of(NeighbourFilter { kind, ..Default::default() }), world.neighbours[..1]);
    let kind = Some(NeighbourKind::Dhcp);
    assert_eq!(of(NeighbourFilter { kind, ..Default::default() }), []);
}

#[test]
fn the_next_page_keeps_the_filter() {
    let macs = (0..4).map(|number| mac(101, number)).collect();
    let fake = Fake::new(World { macs, ..World::default() });
    let request = "GET /v1/macs?limit=2&port=a%20b%26c&vni=101 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(&fake.socket(), request);
    let link = "link: </v1/macs?vni=101&port=a+b%26c&limit=2&after=101.2>; rel=\"next\"\r\n";
    assert!(answer.contains(link), "{answer}");
}

#[test]
fn the_control_core_gets_the_filter_as_it_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, queries) = api::channel(version());
    let server = serve(&folder.path().join("s"), handle).unwrap();
    let (seen, filters) = mpsc::channel();
    thread::spawn(move || {
        for query in queries {
            let Query::Macs(filter, reply) = query else { panic!("{query:?}") };
            seen.send(filter).unwrap();
            reply.send(MacPage::default());
        }
    });
    let filter = MacFilter {
        vni: Some(0xff_ffff),
        mac: "02:00:5e".parse().ok(),
        port: Some("trunk 0/ä&=?#".to_owned()),
        peer: Some(ip("2001:db8::1")),
        kind: Some(MacKind::Learned),
        min_age: Some(1),
        max_age: Some(u64::MAX),
        limit: Some(17),
        after: Some("101.4096".parse().unwrap()),
    };
    Client::connect(&folder.path().join("s")).unwrap().macs(&filter).unwrap();
    assert_eq!(filters.recv().unwrap(), filter);
    server.stop();
}

#[test]
fn wrong_parameters_are_named() {
    let fake = Fake::new(world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    for (path, culprit) in [
        ("/v1/macs?vni=-1", "vni"),
        ("/v1/macs?vnj=1", "`vnj`, expected one of `vni`"),
        ("/v1/macs?peer=192.0.2", "peer: invalid IP address"),
        ("/v1/macs?mac=nobody", "'nobody' is neither a MAC"),
        ("/v1/macs?kind=dynamic", "unknown variant `dynamic`, expected `static` or `learned`"),
        ("/v1/macs?max_age=-1", "max_age: invalid digit"),
        ("/v1/neighbours?kind=x", "unknown variant `x`"),
        ("/v1/macs?limit=0", "limit must be from 1 to 10000"),
        ("/v1/macs?limit=10001", "limit must be from 1 to 10000"),
        ("/v1/macs?after=5", "'5' is not a place in a list"),
        ("/v1/neighbours?limit=0", "limit must be from 1 to 10000"),
        ("/v1/neighbours?port=vm1", "`port`, expected one of `vni`"),
        ("/v1/drops?all=1", "all"),
        ("/v1/drops?al=true", "`al`, expected `all`"),
    ] {
        let (status, error) = refusal(&mut client, path);
        assert_eq!(status, 400, "{path}");
        assert!(error.contains(culprit), "{path}: {error}");
    }
}

#[test]
fn an_unknown_path_names_the_known_ones_and_they_exist() {
    let fake = Fake::new(world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    let (status, error) = refusal(&mut client, "/v2/ports");
    assert_eq!(status, 404);
    let (asked, known) = error.split_once("; there is ").unwrap();
    assert_eq!(asked, "nothing at /v2/ports");
    let known = known
        .split_once("; /v1/events, which goes on; /metrics for Prometheus; of a network, ")
        .unwrap()
        .0;
    let known: Vec<_> = known.split(", ").collect();
    assert_eq!(known.len(), 13);
    for path in known {
        client.get::<Value>(path).unwrap();
    }
}

#[test]
fn other_methods_are_refused() {
    let fake = Fake::new(world());
    let request =
        "POST /v1/ports HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let answer = raw(&fake.socket(), request);
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(
        answer.ends_with("{\"error\":\"/v1/ports cannot be POST; it can be GET\"}"),
        "{answer}"
    );
}

#[test]
fn a_silent_control_core_costs_a_503_and_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (handle, queries) = api::channel(version());
    let server = serve(&folder.path().join("s"), handle).unwrap();
    let socket = folder.path().join("s");
    let start = Instant::now();
    let waiting = {
        let mut client = Client::connect(&socket).unwrap();
        thread::spawn(move || refusal(&mut client, "/v1/ports"))
    };
    let mut client = Client::connect(&socket).unwrap();
    client.get::<Version>("/v1/version").unwrap();
    assert!(start.elapsed() < REPLY_TIMEOUT / 2);
    let (status, error) = waiting.join().unwrap();
    assert!((REPLY_TIMEOUT..REPLY_TIMEOUT * 2).contains(&start.elapsed()));
    assert_eq!(status, 503);
    assert!(error.contains("did not answer within 2 s"), "{error}");

    drop(queries);
    assert_eq!(refusal(&mut client, "/v1/ports"), (503, "Ferry is stopping".to_owned()));
    server.stop();
}

#[test]
fn queries_do_not_pile_up() {
    let (handle, queries) = api::channel(version());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..queries.capacity().unwrap() {
            let asked = handle.ask(Query::Ports);
            assert!(tokio::time::timeout(Duration::ZERO, asked).await.is_err());
        }
        assert_eq!(handle.ask(Query::Ports).await, Err(Unanswered::Busy));
    });
}
