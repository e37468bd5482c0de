//! Shards behind a server on this machine, which answers requests for ranges as object stores do.

use super::*;
use crate::shards::{ShardIndex, ShardSet, ShardStream, Shuffle, tests::folder};
use crate::{Manifest, Processor, ProcessorConfig, Sample, Value};
use object_store::memory::InMemory;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

type Files = BTreeMap<String, Vec<u8>>;

/// A server of files, what it was asked for, and the tag that it gives all of them.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    files: Arc<Mutex<(Files, &'static str)>>,
}

impl Server {
    fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
            files: Arc::new(Mutex::new((files, "\"one\""))),
        };
        let (asked, files) = (server.asked.clone(), server.files.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, files) = (asked.clone(), files.clone());
                std::thread::spawn(move || answer(stream, &asked, &files));
            }
        });
        server
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>, files: &Mutex<(Files, &'static str)>) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let (method, path) = head.first()?.split_once(' ')?;
    let path = path.split(' ').next()?.trim_start_matches('/').to_string();
    let value = |name: &str| {
        head.iter()
            .find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_string))
    };
    asked.lock().unwrap().push(format!("{method} {path}"));
    let (content, tag) = {
        let files = files.lock().unwrap();
        (files.0.get(&path).cloned(), files.1)
    };
    let (status, range, body) = match content {
        None => ("404 Not Found", String::new(), Vec::new()),
        Some(_) if value("if-match: ").is_some_and(|wanted| wanted != tag) => {
            ("412 Precondition Failed", String::new(), Vec::new())
        }
        Some(content) => match value("range: bytes=") {
            None => ("200 OK", String::new(), content),
            Some(range) => {
                let (start, end) = range.split_once('-')?;
                let (start, end): (usize, usize) = (start.parse().ok()?, end.parse().ok()?);
                let range = format!("Content-Range: bytes {start}-{end}/{}\r\n", content.len());
                ("206 Partial Content", range, content[start..=end].to_vec())
            }
        },
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{range}ETag: {tag}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    match method {
        "HEAD" => Some(()),
        _ => stream.write_all(&body).ok(),
    }
}

fn read_folder(folder: &Path) -> Files {
    let file = |entry: io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (
            path.file_name().unwrap().to_str().unwrap().to_string(),
            std::fs::read(path).unwrap(),
        )
    };
    std::fs::read_dir(folder).unwrap().map(file).collect()
}

/// What a row holds, its media read.
fn content(sample: Result<Sample>) -> Vec<(String, String)> {
    let shown = |value: &Value| match value {
        Value::Stored(stored) => format!("{:?}", stored.read().unwrap()),
        value => format!("{value:?}"),
    };
    let cells = sample.unwrap().values;
    cells
        .iter()
        .map(|(column, value)| (column.clone(), shown(value)))
        .collect()
}

#[test]
fn shards_behind_a_url_read_as_those_on_disk() {
    let folder = folder(3, 20);
    let server = Server::start(read_folder(folder.path()));
    let local = ShardSet::open(&folder.path().join("train-{0000..0002}.tar")).unwrap();
    let remote = ShardSet::open(Path::new(&format!("{}/train-{{0000..0002}}.tar", server.address))).unwrap();
    assert_eq!((remote.rows(), remote.shards()), (60, 3));
    // For each shard its length, and its few windows.
    assert!(server.asked() <= 3 * 4, "{:?}", server.asked.lock());
    let shuffle = Some(Shuffle::new(1, 0));
    let streamed = ShardStream::new(remote.clone(), shuffle).map(content);
    assert!(streamed.eq(ShardStream::new(local.clone(), shuffle).map(content)));
    let (remote, local) = (
        ShardIndex::open(&remote, None).unwrap(),
        ShardIndex::open(&local, None).unwrap(),
    );
    assert!((0..60).all(|row| content(remote.sample(row)) == content(local.sample(row))));
}

#[test]
fn tables_behind_a_url_are_manifests_and_what_their_cells_name_is_not_fetched() {
    let table = |address: &str| format!("{{\"image\":\"{address}/a.png\"}}\n{{\"image\":\"s3://bucket/a.png\"}}\n");
    let server = Server::start(Files::new());
    let rows = table(&server.address).into_bytes();
    server.files.lock().unwrap().0.insert("rows.jsonl".to_string(), rows);
    let manifest = Manifest::open(Path::new(&format!("{}/rows.jsonl", server.address))).unwrap();
    assert_eq!(
        (manifest.samples.len(), manifest.columns.as_slice()),
        (2, &["image".to_string()][..])
    );
    let asked = server.asked();
    let config: ProcessorConfig = serde_json::from_str(r#"{"modality":"image"}"#).unwrap();
    let processor = Processor::fit(&config, &[]).unwrap();
    for sample in &manifest.samples {
        let error = processor.prepare(sample.get("image"), &manifest.root).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing, "{error}");
    }
    assert_eq!(server.asked(), asked);
}

#[test]
fn any_range_is_read_whatever_was_read_before() {
    let bytes: Vec<u8> = (0..700_000u32).map(|at| (at * 7 / 3) as u8).collect();
    let store = Arc::new(InMemory::new());
    let (putting, key, content) = (store.clone(), Key::from("a/b.tar"), bytes.clone());
    let put = async move { putting.put(&key, content.into()).await.map(drop) };
    wait(Path::new("memory"), put).unwrap().unwrap();
    let object = Object::within(store, Key::from("a/b.tar"), Path::new("s3://a/b.tar")).unwrap();
    assert_eq!(object.length(), 700_000);
    let mut starts = crate::random::Key::new(1).generator();
    for _ in 0..300 {
        use rand::RngExt;
        let start = starts.random_range(0..700_000usize);
        let end = (start + starts.random_range(0..100_000)).min(700_000);
        let mut read = vec![0; end - start];
        object.read_exact_at(&mut read, start as u64).unwrap();
        assert!(read == bytes[start..end], "{start}..{end}");
    }
    let beyond = object.read_exact_at(&mut [0; 2], 699_999).unwrap_err();
    assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
}

fn check(url: &str, kind: ErrorKind, words: &str) {
    let error = crate::storage::open(Path::new(url)).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn what_cannot_be_read_is_said_without_secrets() {
    let server = Server::start(Files::new());
    let address = &server.address;
    check(
        &format!("{address}/none.tar"),
        ErrorKind::Missing,
        "/none.tar: expected an object, found none",
    );
    check(
        &format!("{address}/a.tar?sig=secret"),
        ErrorKind::Invalid,
        "without a user name",
    );
    check(
        &address.replace("http://", "http://user:secret@"),
        ErrorKind::Invalid,
        "without a user name",
    );
    check("s3:///a.tar", ErrorKind::Invalid, "expected a URL such as");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(
        &format!("http://{closed}/a.tar"),
        ErrorKind::Fetch,
        "expected an answer",
    );
    let pattern = ShardSet::open(Path::new(&format!("{address}/train-*.tar"))).unwrap_err();
    assert_eq!(pattern.kind, ErrorKind::Invalid);
}

#[test]
fn an_object_that_changes_is_not_read_on() {
    let server = Server::start(Files::from([("a.tar".to_string(), vec![1; 300_000])]));
    let object = crate::storage::open(Path::new(&format!("{}/a.tar", server.address))).unwrap();
    assert!(crate::storage::read(&*object, 0, 512, 512).is_ok());
    *server.files.lock().unwrap() = (Files::from([("a.tar".to_string(), vec![2; 300_000])]), "\"two\"");
    let error = crate::storage::read(&*object, 200_000, 512, 512).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Damaged);
    assert!(error.message.contains("it was changed"), "{error}");
}
