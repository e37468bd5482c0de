//! Requests that meet in the queue: whose answer is whose, and what a bad one costs the others.

use std::io::Write;
use std::thread;
use std::time::Duration;

use sensorium_serve::Options;
use serde_json::json;

use crate::support::*;

#[test]
fn two_hundred_mixed_requests_each_get_their_own_answer() {
    let options = Options {
        queue_capacity: 300,
        ..options()
    };
    let engines = vec![Echo::named("first"), Echo::named("second")];
    let server = Running::start(engines.clone(), options);
    let request = |index: usize| {
        let (question, picture) = (format!("q{index}"), format!("PNGp{index}"));
        match index % 5 {
            0 => (
                post_form(&question, picture.as_bytes()),
                Some(format!("q{index}/p{index}")),
            ),
            1 => (post_form("", picture.as_bytes()), Some(format!("none/p{index}"))),
            2 => (post_form(&question, b"broken"), None),
            _ => {
                let body = json!({"inputs": {"question": question}}).to_string();
                let model = if index % 5 == 3 { "second" } else { "first" };
                let path = format!("/v1/predict?model={model}");
                (post_json(&path, &body), Some(format!("q{index}/none")))
            }
        }
    };
    thread::scope(|scope| {
        for index in 0..200 {
            let server = &server;
            scope.spawn(move || {
                let (request, expected) = request(index);
                let reply = server.send(&request);
                match expected {
                    Some(expected) => assert_eq!(reply.answer(), expected),
                    None => reply.is_error(422, "undecodable_image"),
                }
            });
        }
    });
    let answered: usize = engines.iter().map(|engine| engine.seen().len()).sum();
    assert_eq!(answered, 200);
    server.join();
}

#[test]
fn what_waits_is_answered_as_one_batch_and_a_bad_item_fails_alone() {
    let (engine, server) = one(options());
    thread::scope(|scope| {
        scope.spawn(|| server.ask(json!({"question": "gate"})).answer());
        wait_for(|| engine.seen().len() == 1);
        let good = scope.spawn(|| server.ask(json!({"question": "good"})).answer());
        let bad = scope.spawn(|| server.send(&post_form("bad", b"broken")));
        let fatal = scope.spawn(|| server.ask(json!({"question": "panic"})));
        let also = scope.spawn(|| server.ask(json!({"question": "also"})).answer());
        // Nothing tells from outside that a request waits; it takes far less than this.
        thread::sleep(Duration::from_millis(500));
        engine.open_gate();
        assert_eq!(good.join().unwrap(), "good/none");
        assert_eq!(also.join().unwrap(), "also/none");
        bad.join().unwrap().is_error(422, "undecodable_image");
        fatal.join().unwrap().is_error(500, "internal");
    });
    assert_eq!(
        engine.batches.lock().unwrap()[1].len(),
        4,
        "the four that waited are one batch"
    );
    assert_eq!(server.ask(json!({"question": "after"})).answer(), "after/none");
    server.join();
}

#[test]
fn a_full_queue_refuses_and_a_client_that_left_is_skipped() {
    let (engine, server) = one(Options {
        queue_capacity: 2,
        ..options()
    });
    thread::scope(|scope| {
        scope.spawn(|| server.ask(json!({"question": "gate"})).answer());
        wait_for(|| engine.seen().len() == 1);
        let mut leaving = server.connect();
        let body = json!({"inputs": {"question": "leaving"}}).to_string();
        leaving.write_all(&post_json("/v1/predict", &body)).unwrap();
        let waiting = scope.spawn(|| server.ask(json!({"question": "waiting"})).answer());
        thread::sleep(Duration::from_millis(500));
        let refused = server.ask(json!({"question": "refused"}));
        refused.is_error(503, "busy");
        assert!(refused.head.contains("retry-after: 1"));
        drop(leaving);
        thread::sleep(Duration::from_millis(500));
        engine.open_gate();
        assert_eq!(waiting.join().unwrap(), "waiting/none");
    });
    assert_eq!(engine.seen(), ["gate", "waiting"]);
    server.join();
}
