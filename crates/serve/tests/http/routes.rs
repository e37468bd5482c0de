//! Each route, and each way in which a request can be wrong.

use sensorium_serve::Options;
use serde_json::json;

use crate::support::*;

#[test]
fn every_route_answers() {
    let (_, server) = one(options());
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"));
    assert!(page.head.contains("content-security-policy: default-src 'none'"));
    assert!(page.head.contains("x-content-type-options: nosniff"));
    assert!(!page.head.contains("access-control-allow"));
    assert!(
        server
            .get("/assets/page.js")
            .head
            .contains("content-type: text/javascript")
    );
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    let models = server.get("/v1/models").json();
    assert_eq!(
        models["models"][0]["inputs"][0],
        json!({"name": "image", "modality": "image"})
    );
    assert_eq!(models["limits"]["body_bytes"], 32 << 20);
    let example = server.get("/v1/examples/0");
    assert_eq!(example.body, b"PNGexample");
    assert!(example.head.contains("content-type: image/png"));
    server.get("/v1/examples/1").is_error(404, "unknown_example");
    server.get("/v1/examples/x").is_error(404, "unknown_example");
    server.join();
}

#[test]
fn json_and_multipart_give_the_same_answer() {
    let (_, server) = one(options());
    assert_eq!(server.send(&post_form("what", b"PNGdot")).answer(), "what/dot");
    // UE5HZG90 is PNGdot.
    let image = json!({"base64": "UE5HZG90"});
    assert_eq!(
        server.ask(json!({"question": "what", "image": image})).answer(),
        "what/dot"
    );
    let url = "data:image/png;base64,UE5HZG90";
    assert_eq!(server.ask(json!({"image": url})).answer(), "none/dot");
    assert_eq!(server.ask(json!({"question": "what"})).answer(), "what/none");
    let whole = server.ask(json!({"question": "what"})).json();
    let answer = json!({"value": "what/none", "probability": 0.5});
    assert_eq!(whole, json!({"model": "echo", "outputs": {"answer": answer}}));
    server.join();
}

#[test]
fn wrong_requests_get_json_errors() {
    let (_, server) = one(Options {
        body_limit: 1000,
        ..options()
    });
    server.get("/nothing").is_error(404, "unknown_route");
    server.get("/assets/nothing.js").is_error(404, "unknown_route");
    let wrong_method = server.get("/v1/predict");
    wrong_method.is_error(405, "method_not_allowed");
    assert!(wrong_method.head.contains("allow: post"));
    server
        .send(&head("DELETE", "/v1/models", &[]))
        .is_error(405, "method_not_allowed");
    server.ask(json!({})).is_error(400, "no_inputs");
    let unknown = server.ask(json!({"sound": "x"}));
    unknown.is_error(400, "unknown_input");
    assert!(
        unknown.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("image, question")
    );
    let undecodable = server.send(&post_form("what", b"text"));
    undecodable.is_error(422, "undecodable_image");
    assert_eq!(undecodable.json()["error"]["field"], "image");
    server
        .send(&post("/v1/predict", "text/plain", b"hi"))
        .is_error(415, "unsupported_media_type");
    server
        .send(&post_json("/v1/predict", "{"))
        .is_error(400, "invalid_json");
    server
        .send(&post_json("/v1/predict?model=none", "{}"))
        .is_error(404, "unknown_model");
    server
        .send(&post_json("/v1/predict?models=echo", "{}"))
        .is_error(400, "invalid_query");
    server
        .send(&post_json("/v1/predict", &" ".repeat(1001)))
        .is_error(413, "body_too_large");
    let mut chunked = head("POST", "/v1/predict", &["Transfer-Encoding: chunked"]);
    chunked.extend(format!("7d0\r\n{}\r\n0\r\n\r\n", " ".repeat(2000)).bytes());
    server.send(&chunked).is_error(413, "body_too_large");
    server.join();
}

#[test]
fn a_large_body_gets_its_answer_although_it_is_refused() {
    let (_, server) = one(options());
    let request = post("/v1/predict", "application/json", &vec![b' '; 40 << 20]);
    server.send(&request).is_error(413, "body_too_large");
    server.join();
}

#[test]
fn a_model_is_chosen_by_name_and_the_first_is_the_default() {
    let engines = vec![Echo::named("first"), Echo::named("second")];
    let server = Running::start(engines, options());
    let body = json!({"inputs": {"question": "q"}}).to_string();
    for (path, model) in [
        ("/v1/predict", "first"),
        ("/v1/predict?model=first", "first"),
        ("/v1/predict?model=second", "second"),
    ] {
        assert_eq!(server.send(&post_json(path, &body)).json()["model"], model);
    }
    server.join();
}
