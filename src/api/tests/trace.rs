//! Traces: what one says, and what requests for it are answered.

use super::fake::{Fake, ip, mac, raw, world};
use crate::api::client::{Client, ClientError};
use crate::api::model::{
    Decision, DropCount, Effect, Encap, FloodKind, Ingress, Outer, Place, Role, Sent, Station,
    Trace, Udp, UdpChecksum,
};
use crate::api::{Live, LiveRequest, LiveTrace};

/// Of a frame from VLAN 10 of a trunk to a station behind a peer, by a router.
pub(crate) fn unicast() -> Trace {
    let peer = |address| Place { peer: Some(ip(address)), ..Place::default() };
    Trace {
        port: "trunk0".to_owned(),
        role: Role::Access,
        length: 64,
        ingress: Some(Ingress {
            vni: 101,
            network: "tenant-101".to_owned(),
            place: Place { port: Some("trunk0".to_owned()), vlan: Some(10), ..Place::default() },
            group: Some(100),
        }),
        source: Some(Station { mac: mac(101, 2).mac, known: Some(mac(101, 2)) }),
        destination: Some(Station { mac: mac(101, 1).mac, known: Some(mac(101, 1)) }),
        decision: Some(Decision::Send { to: peer("192.0.2.2") }),
        effects: Vec::new(),
        sent: vec![Sent {
            port: "up0".to_owned(),
            role: Role::Underlay,
            length: 110,
            outer: Some(Outer {
                source_mac: "02:00:00:00:00:aa".to_owned(),
                destination_mac: "02:00:00:00:00:fe".to_owned(),
                next_hop: Some(ip("192.0.2.254")),
                source: ip("192.0.2.1"),
                destination: ip("192.0.2.2"),
                ttl: 64,
                udp: Some(Udp {
                    source: 50_000,
                    destination: 4789,
                    checksum: Some(UdpChecksum::Zero),
                }),
                encap: Encap::Vxlan,
                id: Some(101),
                group: Some(100),
                inner_length: 60,
            }),
            packet: "02000000".to_owned(),
        }],
        more: 0,
        drops: Vec::new(),
    }
}

/// Of a broadcast of an unknown station, for which one peer has no next hop.
pub(crate) fn broadcast() -> Trace {
    let sent = |port: &str, outer| Sent {
        port: port.to_owned(),
        role: Role::Access,
        length: 60,
        outer,
        packet: String::new(),
    };
    let place = Place { port: Some("vm1".to_owned()), ..Place::default() };
    let unknown = |mac: &str| Some(Station { mac: mac.to_owned(), known: None });
    Trace {
        port: "vm1".to_owned(),
        length: 60,
        ingress: Some(Ingress {
            vni: 101,
            network: "tenant-101".to_owned(),
            place: place.clone(),
            group: None,
        }),
        source: unknown("02:00:00:00:00:07"),
        destination: unknown("ff:ff:ff:ff:ff:ff"),
        decision: Some(Decision::Flood { kind: FloodKind::Broadcast }),
        effects: vec![
            Effect::Learn { mac: "02:00:00:00:00:07".to_owned(), place },
            Effect::Resolve { peer: Some(ip("192.0.2.3")) },
        ],
        sent: vec![sent("vm2", None)],
        more: 7,
        drops: vec![DropCount {
            port: "vm1".to_owned(),
            reason: "next_hop_unresolved".to_owned(),
            packets: 2,
            meaning: "No MAC.".to_owned(),
            remedy: "look".to_owned(),
        }],
        ..unicast()
    }
}

/// Of a question that came at half past one.
pub(crate) fn live() -> LiveTrace {
    let frame = "ffffffffffff02000000000708060001080006040001020000000007\
        0a0000010000000000000a000002";
    let (unix_microseconds, frame) = (1_700_000_000_000_007 - 79_400_000_000, frame.to_owned());
    LiveTrace { unix_microseconds, frame, trace: broadcast() }
}

#[test]
fn live_traces_come_one_by_one_and_what_was_lost_is_told() {
    let fake = Fake::new(world());
    let ask = |port: Option<&str>, rate, count| {
        let request = LiveRequest { port: port.map(str::to_owned), filter: None, rate, count };
        let mut told = Vec::new();
        let mut client = Client::connect(&fake.socket()).unwrap();
        let end = client.trace_live(&request, |message| {
            told.push(message);
            true
        });
        end.map(|()| told).map_err(|error| error.to_string())
    };
    let all = [Live::Trace(Box::new(live())), Live::Lost { samples: 3 }];
    assert_eq!(ask(None, 5, None), Ok(all.to_vec()));
    assert_eq!(ask(None, 5, Some(1)), Ok(all[..1].to_vec()));
    let busy = "somebody traces live already; one at a time";
    assert_eq!(ask(Some("vm1"), 5, None), Err(busy.to_owned()));
    for rate in [0, 1001] {
        assert_eq!(ask(None, rate, None), Err("rate must be from 1 to 1000".to_owned()));
    }
}

#[test]
fn a_trace_is_asked_for_by_port_and_frame() {
    let fake = Fake::new(world());
    let mut client = Client::connect(&fake.socket()).unwrap();
    let trace = client.trace("up0", &[0; 99]).unwrap();
    let wanted = Trace { port: "up0".to_owned(), role: Role::Underlay, length: 99, ..unicast() };
    assert_eq!(trace, wanted);
    match client.trace("up1", &[0; 60]) {
        Err(ClientError::Refused { status, error }) => {
            assert_eq!(status, 404);
            assert_eq!(error, "there is no port 'up1'; there is vm1, up0, ferry-up0");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_request_is_told() {
    let fake = Fake::new(world());
    let asked = |body: &str| {
        let length = body.len();
        let head = "POST /v1/trace HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
        raw(&fake.socket(), &format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}"))
    };
    let answer = asked(r#"{"port": "vm1", "frame": "0x"}"#);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("frame: 'x', at character 2, is no hexadecimal digit"), "{answer}");
    let answer = asked(r#"{"port": "vm1"}"#);
    assert!(answer.contains(" 422 ") && answer.contains("missing field `frame`"), "{answer}");
    let answer =
        raw(&fake.socket(), "GET /v1/trace HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.contains("/v1/trace cannot be GET; it can be POST"), "{answer}");
}

#[test]
fn json_and_back() {
    for trace in [unicast(), broadcast()] {
        let text = serde_json::to_string(&trace).unwrap();
        assert_eq!(serde_json::from_str::<Trace>(&text).unwrap(), trace);
    }
    let json = serde_json::to_value(unicast()).unwrap();
    assert_eq!(json["ingress"]["vlan"], 10);
    assert_eq!(
        (&json["decision"]["verdict"], &json["decision"]["peer"]),
        (&"send".into(), &"192.0.2.2".into())
    );
}
