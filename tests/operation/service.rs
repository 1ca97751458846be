//! What a service manager hears of Ferry (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Ferry, Namespace};

#[test]
fn it_says_when_it_forwards_feeds_the_watchdog_and_says_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let hear = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim().to_owned()
    };
    let host = Namespace::new("host");
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "10000000")];
    let ferry = Ferry::start_with(
        &host,
        r#"
eal: {memory: 256MiB}
cores: {control: 0, workers: [1], idle: sleep}
underlay:
  ports: [{name: up0, device: "net_null0"}]
  vtep: {ipv4: 192.0.2.1}
"#,
        &environment,
    );
    assert_eq!(hear(), "READY=1");
    for _ in 0..2 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    ferry.stop();
    let last = std::iter::repeat_with(hear).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.unwrap(), "STOPPING=1");
}
