//! How a server listens and what it allows.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::ServeError;

/// Where a server listens, who may ask, and every limit it keeps.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on; port 0 lets the system choose one.
    pub addr: SocketAddr,
    /// The key that every route but `/health` then asks for. An address that other machines can
    /// reach needs one.
    pub api_key: Option<String>,
    /// Requests that may wait for the compute thread; one more is answered 503.
    pub queue_capacity: usize,
    /// The most samples that one call of the engine gets.
    pub max_batch: usize,
    /// The largest request body in bytes; a larger one is answered 413.
    pub body_limit: usize,
    /// The longest text of one input in bytes; a longer one is answered 422.
    pub text_limit: usize,
    /// Body bytes held at once over all requests that are being read or waiting; beyond, 503. An
    /// engine's copies and decoded pictures come on top.
    pub body_memory: usize,
    /// Connections open at once; the next ones wait in the system's backlog.
    pub max_connections: usize,
    /// How long a request's head may take, and how long an idle connection is kept.
    pub header_timeout: Duration,
    /// How long a request's whole body may take.
    pub body_timeout: Duration,
    /// How long a shutdown waits for accepted requests.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 7860)),
            api_key: None,
            queue_capacity: 64,
            max_batch: 32,
            body_limit: 32 << 20,
            text_limit: 64 << 10,
            body_memory: 256 << 20,
            max_connections: 512,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Refuses what would expose the models to other machines, or could never answer.
    pub(crate) fn check(&self) -> Result<(), ServeError> {
        let usable = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
        if !self.api_key.as_ref().is_none_or(usable) {
            return Err(ServeError::UnusableKey);
        }
        if !self.addr.ip().is_loopback() && self.api_key.is_none() {
            return Err(ServeError::KeyRequired { addr: self.addr });
        }
        let counts = [
            ("queue_capacity", self.queue_capacity),
            ("max_batch", self.max_batch),
            ("max_connections", self.max_connections),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((option, _)) => Err(ServeError::Zero { option }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addr: &str, key: Option<&str>, expected: Option<&str>) {
        let options = Options {
            addr: addr.parse().unwrap(),
            api_key: key.map(str::to_owned),
            ..Options::default()
        };
        let found = options.check().err().map(|error| error.to_string());
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{addr} with {key:?}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn other_machines_need_a_key() {
        check("127.0.0.1:0", None, None);
        check("[::1]:0", None, None);
        check(
            "0.0.0.0:80",
            None,
            Some("0.0.0.0:80 can be reached from other machines"),
        );
        check("192.168.1.4:80", None, Some("API key"));
        check("0.0.0.0:80", Some("secret"), None);
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused() {
        check("127.0.0.1:0", Some(""), Some("API key"));
        check("127.0.0.1:0", Some("two words"), Some("API key"));
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let options = Options {
            max_batch: 0,
            ..Options::default()
        };
        assert!(options.check().unwrap_err().to_string().contains("max_batch"));
    }
}
