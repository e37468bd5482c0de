//! An engine that says what it was given, a server around it, and a client over plain sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sensorium_serve::{
    Description, Engine, InputDescription, InputValue, Inputs, ItemError, Modality, Options, Output, Outputs,
    ServeError, Server,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Answers `QUESTION/PICTURE`, where a picture begins with `PNG`. The question `panic` panics,
/// `gate` waits until the gate opens, `sleep` takes half a second.
#[derive(Default)]
pub struct Echo {
    name: String,
    open: Mutex<bool>,
    opened: Condvar,
    pub batches: Mutex<Vec<Vec<String>>>,
}

impl Echo {
    pub fn named(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            ..Self::default()
        })
    }

    pub fn open_gate(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub fn seen(&self) -> Vec<String> {
        self.batches.lock().unwrap().concat()
    }

    fn answer(&self, sample: &Inputs) -> Result<Outputs, ItemError> {
        let question = question(sample);
        match question.as_str() {
            "panic" => panic!("the fake engine panics on purpose"),
            "gate" => drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open)),
            "sleep" => thread::sleep(Duration::from_millis(500)),
            _ => {}
        }
        let picture = match sample.get("image") {
            Some(InputValue::Bytes(bytes)) => match bytes.strip_prefix(b"PNG") {
                Some(rest) => String::from_utf8_lossy(rest).into_owned(),
                None => return Err(ItemError::undecodable_image("image")),
            },
            _ => "none".to_owned(),
        };
        let value = format!("{question}/{picture}").into();
        let output = Output {
            value,
            probability: Some(0.5),
            ..Output::default()
        };
        Ok(BTreeMap::from([("answer".to_owned(), output)]))
    }
}

fn question(sample: &Inputs) -> String {
    match sample.get("question") {
        Some(InputValue::Text(text)) => text.clone(),
        _ => "none".to_owned(),
    }
}

impl Engine for Echo {
    fn describe(&self) -> Description {
        Description {
            run: self.name.clone(),
            name: self.name.clone(),
            inputs: vec![
                InputDescription::new("image", Modality::Image),
                InputDescription::new("question", Modality::Text),
            ],
            example_images: 1,
            ..Description::default()
        }
    }

    fn predict(&self, samples: Vec<Inputs>) -> Vec<Result<Outputs, ItemError>> {
        self.batches
            .lock()
            .unwrap()
            .push(samples.iter().map(question).collect());
        samples.iter().map(|sample| self.answer(sample)).collect()
    }

    fn example(&self, index: usize) -> Option<(Vec<u8>, &'static str)> {
        (index == 0).then(|| (b"PNGexample".to_vec(), "image/png"))
    }
}

/// A server on a thread of its own.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(engines: Vec<Arc<Echo>>, options: Options) -> Self {
        let (ready, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let server = bind(engines, options).await.unwrap();
                ready.send(server.address()).unwrap();
                server.run(async { drop(stopped.await) }).await;
            });
        });
        Self {
            address: address.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub fn join(mut self) {
        self.stop();
        self.thread.take().unwrap().join().unwrap();
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends a request whole and reads the reply to its end.
    pub fn send(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        Reply::read(stream)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send(&head("GET", path, &[]))
    }

    pub fn ask(&self, inputs: Value) -> Reply {
        self.send(&post_json("/v1/predict", &json!({"inputs": inputs}).to_string()))
    }
}

pub async fn bind(engines: Vec<Arc<Echo>>, options: Options) -> Result<Server, ServeError> {
    let engines = engines.into_iter().map(|engine| engine as Arc<dyn Engine>).collect();
    Server::bind(engines, options).await
}

pub fn options() -> Options {
    Options {
        addr: "127.0.0.1:0".parse().unwrap(),
        ..Options::default()
    }
}

pub fn one(options: Options) -> (Arc<Echo>, Running) {
    let engine = Echo::named("echo");
    (engine.clone(), Running::start(vec![engine], options))
}

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head[9..12].parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn answer(&self) -> String {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()["outputs"]["answer"]["value"].as_str().unwrap().to_owned()
    }

    /// Checks an error's status, code and form.
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let body = self.json();
        assert_eq!(body["error"]["code"], code);
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
    }
}

pub fn head(method: &str, path: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    (text + "\r\n").into_bytes()
}

pub fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let mut request = head("POST", path, &[&format!("Content-Type: {content_type}"), &length]);
    request.extend(body);
    request
}

pub fn post_json(path: &str, body: &str) -> Vec<u8> {
    post(path, "application/json", body.as_bytes())
}

pub fn post_form(question: &str, picture: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--B\r\nContent-Disposition: form-data; name=\"question\"\r\n\r\n{question}\r\n--B\r\n\
         Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend(picture);
    body.extend(b"\r\n--B--\r\n");
    post("/v1/predict", "multipart/form-data; boundary=B", &body)
}

/// Waits until `condition` holds, at most ten seconds.
pub fn wait_for(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "the condition did not come true in ten seconds");
        thread::sleep(Duration::from_millis(5));
    }
}
