//! Connections: slow ones, too many of them, and the end of the server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use sensorium_serve::Options;
use serde_json::json;

use crate::support::*;

#[test]
fn slow_clients_are_dropped_and_others_are_served_meanwhile() {
    let timeout = Duration::from_secs(1);
    let options = Options {
        header_timeout: timeout,
        body_timeout: timeout,
        ..options()
    };
    let (_, server) = one(options);
    let begin = Instant::now();
    let mut slow_head = server.connect();
    slow_head.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut slow_body = server.connect();
    let request = post_json("/v1/predict", &" ".repeat(100));
    slow_body.write_all(&request[..request.len() - 50]).unwrap();
    assert_eq!(server.ask(json!({"question": "fast"})).answer(), "fast/none");
    assert!(begin.elapsed() < timeout);
    Reply::read(slow_body).is_error(408, "body_timeout");
    let mut rest = Vec::new();
    match slow_head.read_to_end(&mut rest) {
        Ok(_) => assert!(!rest.starts_with(b"HTTP/1.1 200")),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
    server.join();
}

#[test]
fn connections_over_the_cap_wait_for_a_slot() {
    let (_, server) = one(Options {
        max_connections: 2,
        ..options()
    });
    let (first, second) = (server.connect(), server.connect());
    let mut third = server.connect();
    third.write_all(&head("GET", "/health", &[])).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0]).is_err(), "answered although both slots are taken");
    drop((first, second));
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(Reply::read(third).status, 200);
    server.join();
}

#[test]
fn a_connection_serves_several_requests() {
    let (_, server) = one(options());
    let mut stream = server.connect();
    for _ in 0..3 {
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            reply.push(byte[0]);
        }
        assert!(reply.starts_with(b"HTTP/1.1 200"));
    }
    server.join();
}

#[test]
fn shutdown_answers_what_was_accepted_and_waits_for_nothing_else() {
    let (engine, mut server) = one(options());
    let idle = server.connect();
    let mut half = server.connect();
    half.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut asked = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect();
        let body = json!({"inputs": {"question": "sleep"}}).to_string();
        stream.write_all(&post_json("/v1/predict", &body)).unwrap();
        asked.push(stream);
    }
    wait_for(|| !engine.seen().is_empty());
    thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    server.stop();
    for stream in asked {
        assert_eq!(Reply::read(stream).answer(), "sleep/none");
    }
    let address = server.address;
    server.join();
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "a connection without a request held up the end"
    );
    assert!(TcpStream::connect(address).is_err(), "the port is still open");
    drop((idle, half));
}

#[test]
fn shutdown_gives_up_after_the_drain_timeout() {
    let drain_timeout = Duration::from_millis(300);
    let (engine, server) = one(Options {
        drain_timeout,
        ..options()
    });
    let mut stuck = server.connect();
    let body = json!({"inputs": {"question": "gate"}}).to_string();
    stuck.write_all(&post_json("/v1/predict", &body)).unwrap();
    wait_for(|| !engine.seen().is_empty());
    let begin = Instant::now();
    server.join();
    assert!(begin.elapsed() >= drain_timeout && begin.elapsed() < Duration::from_secs(5));
    engine.open_gate();
}
