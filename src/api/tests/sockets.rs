//! The socket in the file system, from start to stop.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::fake::{self, Fake, version, world};
use crate::api::client::{Client, ClientError};
use crate::api::model::Version;
use crate::api::{self, Server, SocketError};
use crate::config::{Api, Metrics, Socket};

/// A server whose control core never answers.
fn serve(path: &Path) -> Result<Server, SocketError> {
    let (handle, queries) = api::channel(version());
    std::mem::forget(queries);
    fake::serve(path, handle)
}

/// Leaves a socket that nobody answers at.
fn make_stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

#[test]
fn its_folder_is_made_and_its_mode_lets_the_group_in_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/ferry/ferry.sock");
    let server = serve(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
    Client::connect(&path).unwrap().get::<Version>("/v1/version").unwrap();
    server.stop();
    assert!(!path.exists());
}

#[test]
fn groups_may_read_or_read_and_write() {
    let folder = tempfile::tempdir().unwrap();
    let socket = |name: &str, group: &str| Socket {
        path: folder.path().join(name),
        group: Some(group.to_owned()),
    };
    let serve = |socket, read_only| {
        let (handle, queries) = api::channel(version());
        std::mem::forget(queries);
        let (read_only, metrics) = (Some(read_only), Metrics::default());
        let api = Api { socket, read_only, listen: None, metrics };
        api::serve(&api, PathBuf::new(), handle)
    };
    let (all, reading) = (socket("all", "daemon"), socket("reading", "nogroup"));
    let server = serve(all.clone(), reading.clone()).unwrap();
    for (socket, status) in [(&all, "400"), (&reading, "403")] {
        let of = fs::metadata(&socket.path).unwrap();
        assert_eq!(of.permissions().mode() & 0o7777, 0o660);
        let group = nix::unistd::Group::from_name(socket.group.as_deref().unwrap());
        assert_eq!(of.gid(), group.unwrap().unwrap().gid.as_raw());
        Client::connect(&socket.path).unwrap().get::<Version>("/v1/version").unwrap();
        for (method, path) in [("PUT", "/v1/networks/0"), ("DELETE", "/v1/networks/x")] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let answer = fake::raw(&socket.path, &request);
            assert_eq!(&answer[9..12], status, "{answer}");
        }
        // A trace changes nothing.
        let request = "POST /v1/trace HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = fake::raw(&socket.path, request);
        assert_eq!(&answer[9..12], "415", "{answer}");
    }
    // Readers who take all connections that there are leave those who may change something theirs.
    let open = |_| UnixStream::connect(&reading.path).unwrap();
    let opened: Vec<UnixStream> = (0..256).map(open).collect();
    let request = "GET /v1/version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let of = |socket: &Socket| fake::raw(&socket.path, request)[9..12].to_owned();
    assert_eq!((of(&reading), of(&all)), ("503".to_owned(), "200".to_owned()));
    drop(opened);
    server.stop();
    assert!(!all.path.exists() && !reading.path.exists());
    let error = serve(all.clone(), socket("reading", "no-such")).err().unwrap().to_string();
    let told =
        "no group is called 'no-such': create it (groupadd no-such), or name another (api.group)";
    assert_eq!(error, told);
    assert!(!all.path.exists(), "left behind");
}

#[test]
fn it_is_never_taken_from_a_living_process() {
    let fake = Fake::new(world());
    let error = serve(&fake.socket()).err().unwrap();
    assert!(matches!(error, SocketError::Occupied(_)));
    let text = error.to_string();
    assert!(text.starts_with(&format!("{} is in use", fake.socket().display())), "{text}");
    assert!(text.ends_with("(api.socket)"), "{text}");
    Client::connect(&fake.socket()).unwrap().get::<Version>("/v1/version").unwrap();
}

#[test]
fn nor_from_one_too_busy_to_accept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut waiting = Vec::new();
    runtime.block_on(async {
        while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
            waiting.push(stream);
        }
    });
    assert!(matches!(serve(&path), Err(SocketError::Occupied(_))));
}

#[test]
fn a_stale_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    make_stale(&path);
    let _server = serve(&path).unwrap();
    Client::connect(&path).unwrap().get::<Version>("/v1/version").unwrap();
}

#[test]
fn of_two_that_start_at_once_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    for _ in 0..50 {
        make_stale(&path);
        let barrier = Barrier::new(2);
        let start = || {
            barrier.wait();
            serve(&path)
        };
        let (one, other) = thread::scope(|scope| {
            let one = scope.spawn(start);
            (start(), one.join().unwrap())
        });
        let [winner, loser] = if one.is_ok() { [one, other] } else { [other, one] };
        assert!(matches!(loser, Err(SocketError::Occupied(_))));
        Client::connect(&path).unwrap().get::<Version>("/v1/version").unwrap();
        winner.unwrap().stop();
    }
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    fs::write(&path, "precious").unwrap();
    let error = serve(&path).err().unwrap();
    assert!(error.to_string().contains("notes exists and is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let below = serve(&path.join("s")).err().unwrap().to_string();
    assert!(below.starts_with("cannot create the folder"), "{below}");
}

#[test]
fn a_path_that_is_too_long_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s".repeat(120));
    let error = serve(&path).err().unwrap().to_string();
    assert!(error.starts_with("cannot bind the socket") && error.contains("ssss"), "{error}");
}

#[test]
fn it_stops_in_time_with_requests_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = serve(&path).unwrap();
    let mut unanswered = UnixStream::connect(&path).unwrap();
    unanswered.write_all(b"GET /v1/ports HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut unfinished = UnixStream::connect(&path).unwrap();
    unfinished.write_all(b"GET /v1/po").unwrap();
    thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    assert!(matches!(Client::connect(&path), Err(ClientError::NotRunning(_))));
}

#[test]
fn stopping_leaves_a_successor_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = serve(&path).unwrap();
    let mut unanswered = UnixStream::connect(&path).unwrap();
    unanswered.write_all(b"GET /v1/ports HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(50));
    let stopping = thread::spawn(move || server.stop());
    let _successor = loop {
        match serve(&path) {
            Err(SocketError::Occupied(_)) => thread::yield_now(),
            result => break result.unwrap(),
        }
    };
    stopping.join().unwrap();
    Client::connect(&path).unwrap().get::<Version>("/v1/version").unwrap();
}
