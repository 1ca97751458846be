//! What Prometheus reads.

use std::collections::HashSet;

use super::fake::{Fake, World, raw, world};
use crate::api::model::{Dscp, Peer, Volume};

fn scrape(world: World) -> (String, String) {
    let fake = Fake::new(world);
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(&fake.socket(), request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn metrics_to_the_letter() {
    let (head, body) = scrape(world());
    assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let expected = include_str!("metrics.txt");
    let started = |line: &&str| !line.starts_with("ferry_start_time_seconds ");
    let body: Vec<_> = body.lines().filter(started).collect();
    assert_eq!(body, expected.lines().collect::<Vec<_>>());
}

#[test]
fn a_peer_that_is_spoken_to_in_two_ways_has_one_row() {
    let mut world = world();
    let (dscp, sent) = (Dscp::Fixed(46), Some(Volume { packets: 5, bytes: 500 }));
    world.peers.push(Peer { dscp, sent, ..world.peers[0].clone() });
    let (_, body) = scrape(world);
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let mut seen = HashSet::new();
    for (series, _) in samples.filter_map(|line| line.rsplit_once(' ')) {
        assert!(seen.insert(series), "twice: {series}");
    }
    let row =
        "\nferry_peer_transmit_packets_total{peer=\"192.0.2.2\",encap=\"vxlan\",id=\"\"} 17\n";
    assert!(body.contains(row), "{body}");
}
