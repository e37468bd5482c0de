//! Who may ask, and which servers do not even start.

use std::net::TcpListener;
use std::sync::Arc;

use sensorium_serve::Options;

use crate::support::*;

#[test]
fn a_key_covers_every_route_but_health() {
    let (_, server) = one(Options {
        api_key: Some("secret".to_owned()),
        ..options()
    });
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/assets/page.js"),
        ("GET", "/v1/models"),
        ("GET", "/v1/examples/0"),
        ("POST", "/v1/predict"),
        ("GET", "/nothing"),
        ("DELETE", "/"),
    ] {
        let reply = server.send(&head(method, path, &[]));
        reply.is_error(401, "unauthorized");
        assert!(reply.head.contains("www-authenticate: bearer"));
    }
    assert_eq!(server.get("/health").status, 200);
    let allowed = server.send(&head("GET", "/v1/models", &["Authorization: Bearer secret"]));
    assert_eq!(allowed.status, 200);
    server.join();
}

#[test]
fn other_hosts_and_other_origins_are_refused() {
    let (_, server) = one(options());
    let rebound = b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    server.send(rebound).is_error(403, "forbidden_host");
    let foreign = head("POST", "/v1/predict", &["Origin: http://evil.example"]);
    server.send(&foreign).is_error(403, "forbidden_origin");
    server.join();
}

/// Starting a server with these engines and options fails with a message that holds `expected`.
fn check_refused(engines: Vec<Arc<Echo>>, options: Options, expected: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let Err(error) = runtime.block_on(bind(engines, options)) else {
        panic!("a server started that should be refused: {expected}");
    };
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_server_that_cannot_work_does_not_start() {
    let echo = || vec![Echo::named("echo")];
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = busy.local_addr().unwrap();
    check_refused(echo(), Options { addr, ..options() }, &format!("{addr} is in use"));
    let everywhere = "0.0.0.0:0".parse().unwrap();
    check_refused(
        echo(),
        Options {
            addr: everywhere,
            ..options()
        },
        "needs an API key",
    );
    check_refused(Vec::new(), options(), "no model");
    check_refused([echo(), echo()].concat(), options(), "both named `echo`");
    // 192.0.2.0/24 is reserved for documentation: no machine has it.
    let elsewhere = Options {
        addr: "192.0.2.1:0".parse().unwrap(),
        api_key: Some("secret".to_owned()),
        ..options()
    };
    check_refused(echo(), elsewhere, "cannot listen on 192.0.2.1:0");
}
