//! What Prometheus reads.

use super::fake::{Fake, raw, world};

#[test]
fn metrics_to_the_letter() {
    let fake = Fake::new(world());
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(&fake.socket(), request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let expected = include_str!("metrics.txt");
    let started = |line: &&str| !line.starts_with("ferry_start_time_seconds ");
    let body: Vec<_> = body.lines().filter(started).collect();
    assert_eq!(body, expected.lines().collect::<Vec<_>>());
}
