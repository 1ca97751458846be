//! Limits of a listener.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::api::connections::{Limits, Refused, answer};

async fn read(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "current_thread")]
async fn who_is_one_too_many_is_told_and_who_keeps_silent_makes_room() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let limits = Limits { connections: 2, silence: Some(Duration::from_millis(300)) };
    let (refused, (stop, stopping)) = (Refused::default(), watch::channel(false));
    let routes = Router::new().route("/", get(async || "right"));
    let server = tokio::spawn(answer(listener, routes, limits, refused.clone(), stopping));

    let mut silent = TcpStream::connect(at).await.unwrap();
    let mut slow = TcpStream::connect(at).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    let ask = async || {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        read(&mut stream).await
    };
    let told = ask().await;
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("2 connections are open"), "{told}");
    assert_eq!(refused.get(), 1);

    assert_eq!(read(&mut silent).await, "", "closed without a word");
    assert!(!read(&mut slow).await.contains("right"));
    let answered = ask().await;
    assert!(answered.starts_with("HTTP/1.1 200 ") && answered.ends_with("right"), "{answered}");
    assert_eq!(refused.get(), 1);
    stop.send(true).unwrap();
    server.await.unwrap();
}
