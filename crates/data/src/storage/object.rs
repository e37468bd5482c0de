//! Files in object storage and on web servers, read by ranges: `s3://`, `gs://`, `az://`, `http://`
//! and `https://`.
//!
//! Credentials come from the variables that the providers' own programs read (`AWS_ACCESS_KEY_ID`,
//! `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_KEY`, …). No message repeats what a server or
//! the library says, because that may hold them.

use super::{ReadAt, without_secrets};
use crate::{DataError, ErrorKind, Result};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{ClientOptions, Error, GetOptions, ObjectStore, ObjectStoreExt, ObjectStoreScheme, RetryConfig};
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// What is read at once, in bytes: little after a jump, twice as much for each read that goes on
/// where the last one ended.
const WINDOW: Range<u64> = 1 << 16..1 << 23;
/// How long the answer to one request may take, retries included.
const PATIENCE: Duration = Duration::from_secs(60);

/// The threads that wait for servers. Callers wait outside of it, so that they may be threads of
/// another runtime.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    // The first provider counts; a program may have chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("object storage")
        .enable_all()
        .build()
});

/// One object. What was read last is kept, as far as it reaches beyond what was asked for.
pub struct Object {
    url: PathBuf,
    store: Arc<dyn ObjectStore>,
    key: Key,
    length: u64,
    modified: u128,
    /// What the object was like when it was opened: another one is not read in its place.
    tag: Option<String>,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Arc<[u8]>,
}

impl fmt::Debug for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Object({}, {} bytes)", self.url.display(), self.length)
    }
}

impl Object {
    /// Asks for the length of what the URL names.
    ///
    /// Fails with `Missing` where there is nothing, `Invalid` for a URL with a password or a query,
    /// and `Fetch` where the server cannot be reached or refuses.
    pub fn open(url: &str) -> Result<Self> {
        let refused = |message| DataError::new(ErrorKind::Invalid, message).at_path(&without_secrets(url));
        let parsed = Url::parse(url).ok().filter(|url| url.host_str().is_some());
        let parsed =
            parsed.ok_or_else(|| refused("expected a URL such as s3://bucket/train-000.tar, found another"))?;
        if parsed.password().is_some() || !parsed.username().is_empty() || parsed.query().is_some() {
            let message = "expected a URL without a user name, a password or a query, found one; give credentials in \
                           the environment";
            return Err(refused(message));
        }
        let path = Path::new(url);
        // The library makes clients, which need the runtime's cryptography.
        runtime(path)?;
        let refused = |error| explain(&error, path);
        let (_, key) = ObjectStoreScheme::parse(&parsed).map_err(|error| refused(error.into()))?;
        let store = store(&parsed).map_err(refused)?;
        Self::within(store, key, path)
    }

    /// The object with this key, which messages call `url`.
    fn within(store: Arc<dyn ObjectStore>, key: Key, url: &Path) -> Result<Self> {
        let (asked, place) = (store.clone(), key.clone());
        let head = wait(url, async move { asked.head(&place).await })?.map_err(|error| explain(&error, url))?;
        let modified = head.last_modified.timestamp_nanos_opt().unwrap_or(0);
        Ok(Self {
            url: url.to_path_buf(),
            store,
            key,
            length: head.size,
            modified: u128::try_from(modified).unwrap_or(0),
            tag: head.e_tag,
            window: Mutex::default(),
        })
    }

    fn fetch(&self, range: Range<u64>) -> Result<Arc<[u8]>> {
        let (store, key) = (self.store.clone(), self.key.clone());
        let options = GetOptions {
            range: Some(range.clone().into()),
            if_match: self.tag.clone(),
            ..GetOptions::default()
        };
        let answer = async move { store.get_opts(&key, options).await?.bytes().await };
        let bytes = wait(&self.url, answer)?.map_err(|error| explain(&error, &self.url))?;
        match bytes.len() as u64 == range.end - range.start {
            true => Ok(bytes[..].into()),
            false => Err(changed(&self.url)),
        }
    }

    /// The bytes around `wanted` that are to be fetched, after what was read last.
    fn window(&self, wanted: Range<u64>) -> Range<u64> {
        let last = self
            .window
            .lock()
            .map_or((0, 0), |last| (last.start, last.bytes.len() as u64));
        let goes_on = wanted.start >= last.0 && wanted.start <= last.0 + last.1 + WINDOW.start;
        let size = if goes_on {
            (2 * last.1).clamp(WINDOW.start, WINDOW.end)
        } else {
            WINDOW.start
        };
        wanted.start..wanted.end.max(wanted.start + size).min(self.length)
    }

    /// What was read last, if all of `wanted` lies in it.
    fn held(&self, wanted: &Range<u64>) -> Option<Window> {
        let last = self.window.lock().ok()?;
        let end = last.start + last.bytes.len() as u64;
        (last.start <= wanted.start && wanted.end <= end).then(|| Window {
            start: last.start,
            bytes: last.bytes.clone(),
        })
    }
}

impl ReadAt for Object {
    fn path(&self) -> &Path {
        &self.url
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn modified(&self) -> u128 {
        self.modified
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset
            .checked_add(buffer.len() as u64)
            .filter(|&end| end <= self.length);
        let wanted = offset..end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let window = match self.held(&wanted) {
            Some(window) => window,
            None => {
                let range = self.window(wanted.clone());
                let bytes = self.fetch(range.clone()).map_err(io::Error::other)?;
                let window = || Window {
                    start: range.start,
                    bytes: bytes.clone(),
                };
                if let Ok(mut last) = self.window.lock() {
                    *last = window();
                }
                window()
            }
        };
        let start = (wanted.start - window.start) as usize;
        buffer.copy_from_slice(&window.bytes[start..start + buffer.len()]);
        Ok(())
    }
}

/// The store that a URL without secrets names.
fn store(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: 4,
        retry_timeout: PATIENCE / 2,
        ..RetryConfig::default()
    };
    Ok(match url.scheme() {
        "s3" => Arc::new(
            AmazonS3Builder::from_env()
                .with_url(url.as_str())
                .with_retry(retry)
                .build()?,
        ),
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_url(url.as_str())
                .with_retry(retry)
                .build()?,
        ),
        "az" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_url(url.as_str())
                .with_retry(retry)
                .build()?,
        ),
        scheme => {
            // An address without encryption is one that the user wrote so.
            let options = ClientOptions::new().with_allow_http(scheme == "http");
            let server = &url[..url::Position::BeforePath];
            Arc::new(
                HttpBuilder::new()
                    .with_url(server)
                    .with_client_options(options)
                    .with_retry(retry)
                    .build()?,
            )
        }
    })
}

fn runtime(url: &Path) -> Result<&'static Runtime> {
    let refused = |error: &io::Error| {
        DataError::new(
            ErrorKind::Io,
            format!("expected threads for object storage, found: {error}"),
        )
    };
    RUNTIME.as_ref().map_err(|error| refused(error).at_path(url))
}

/// Runs `work` on the runtime's threads while this one waits.
fn wait<T: Send + 'static>(url: &Path, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (send, receive) = mpsc::sync_channel(1);
    runtime(url)?.spawn(async move {
        if let Ok(result) = tokio::time::timeout(PATIENCE, work).await {
            // Nobody waits any more where the program ends.
            let _ = send.send(result);
        }
    });
    receive.recv().map_err(|_| {
        let message = format!(
            "expected an answer within {} seconds, found none; try again",
            PATIENCE.as_secs()
        );
        DataError::new(ErrorKind::Fetch, message).at_path(url)
    })
}

/// The error in words of our own.
fn explain(error: &Error, url: &Path) -> DataError {
    let (kind, message) = match error {
        Error::NotFound { .. } => (ErrorKind::Missing, "expected an object, found none; check the URL"),
        Error::Precondition { .. } | Error::NotModified { .. } => return changed(url),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => (
            ErrorKind::Fetch,
            "expected leave to read, found none; check the credentials in the environment",
        ),
        Error::InvalidPath { .. } => (
            ErrorKind::Invalid,
            "expected the name of an object, found none; name a file",
        ),
        Error::NotSupported { .. } => (
            ErrorKind::Fetch,
            "expected a server that answers requests for ranges of bytes, found another; fetch the file yourself",
        ),
        _ => (
            ErrorKind::Fetch,
            "expected an answer, found none or a refusal; check the URL, the network and the credentials",
        ),
    };
    DataError::new(kind, message).at_path(url)
}

fn changed(url: &Path) -> DataError {
    let message = "expected the object that was opened, found another: it was changed; begin again";
    DataError::new(ErrorKind::Damaged, message).at_path(url)
}

#[cfg(test)]
mod tests;
