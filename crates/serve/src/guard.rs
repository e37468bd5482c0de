//! Who may ask, by key, Host and Origin; and the headers that keep the page safe.

use std::hint::black_box;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::error::ApiError;

/// Nothing but the server's own files; media may also be ones that the page itself holds.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data:; media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// The rules of access of one server.
pub(crate) struct Guard {
    pub api_key: Option<String>,
    /// Whether the server listens on this machine only.
    pub loopback: bool,
}

/// Lets a request pass, or answers it 401 or 403; adds the security headers to every response.
pub(crate) async fn guard(State(guard): State<std::sync::Arc<Guard>>, request: Request, next: Next) -> Response {
    let verdict = guard.check(request.method(), request.uri().path(), request.headers());
    let mut response = match verdict {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    secure(response.headers_mut());
    response
}

impl Guard {
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = text(headers, header::HOST);
        // A page elsewhere whose name was made to point here (DNS rebinding) shows its own name.
        if self.loopback && !host.is_some_and(is_local) {
            return Err(forbidden(
                "forbidden_host",
                "the Host header must be localhost, 127.0.0.1 or [::1]; open the server by one of \
                 these names",
            ));
        }
        let foreign = text(headers, header::ORIGIN).is_some_and(|origin| !is_same(origin, host));
        if !method.is_safe() && (foreign || has_odd_origin(headers)) {
            return Err(forbidden(
                "forbidden_origin",
                "requests from the pages of other sites are refused; ask from the server's own \
                 page or from a program",
            ));
        }
        match &self.api_key {
            Some(key) if path != "/health" && !has_key(headers, key) => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the server's API key is needed; send it as `Authorization: Bearer KEY`, or in a \
                 browser as the password",
            )),
            _ => Ok(()),
        }
    }
}

fn forbidden(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, code, message)
}

/// A header's value, if there is exactly one and it is text.
fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// Whether there is an Origin that `text` cannot read.
fn has_odd_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) && text(headers, header::ORIGIN).is_none()
}

/// Whether a Host value names this machine, on any port (a tunnel may use another).
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
}

/// Whether an Origin such as `http://localhost:7860` is the server that the Host names.
fn is_same(origin: &str, host: Option<&str>) -> bool {
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority
        .zip(host)
        .is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// Whether the request carries the key as a bearer token or as a Basic password.
fn has_key(headers: &HeaderMap, key: &str) -> bool {
    let Some((scheme, value)) = text(headers, header::AUTHORIZATION).and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return equal(value.as_bytes(), key.as_bytes());
    }
    scheme.eq_ignore_ascii_case("basic") && password(value).is_some_and(|p| equal(&p, key.as_bytes()))
}

/// The password of `user:password` in base64.
fn password(value: &str) -> Option<Vec<u8>> {
    let pair = BASE64_STANDARD.decode(value).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Compares in a time that depends on the presented bytes' length alone. `expected` is not empty.
fn equal(presented: &[u8], expected: &[u8]) -> bool {
    let mut difference = presented.len() ^ expected.len();
    for (index, &byte) in presented.iter().enumerate() {
        difference |= usize::from(byte ^ expected[index % expected.len()]);
    }
    black_box(difference) == 0
}

fn secure(headers: &mut HeaderMap) {
    let pairs = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self)",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a request with these headers: 200 where the guard lets it pass.
    fn check(key: Option<&str>, request: &str, headers: &[(&str, &str)], expected: u16) {
        let guard = Guard {
            api_key: key.map(str::to_owned),
            loopback: true,
        };
        let (method, path) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let verdict = guard.check(&method.parse().unwrap(), path, &map);
        let status = verdict
            .err()
            .map_or(200, |error| error.into_response().status().as_u16());
        assert_eq!(status, expected, "{request} with {headers:?}");
    }

    #[test]
    fn a_loopback_server_answers_to_local_names_only() {
        for host in ["localhost", "LOCALHOST:7860", "127.0.0.1:1", "[::1]:7860", "[::1]"] {
            check(None, "GET /", &[("host", host)], 200);
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil:80",
            "",
            "::1",
            "localhost:80:80",
        ] {
            check(None, "GET /", &[("host", host)], 403);
        }
        check(None, "GET /", &[], 403);
        check(None, "GET /", &[("host", "localhost"), ("host", "evil.example")], 403);
    }

    #[test]
    fn only_the_own_page_may_post() {
        let host = ("host", "localhost:7860");
        check(None, "POST /v1/predict", &[host], 200);
        check(
            None,
            "POST /v1/predict",
            &[host, ("origin", "http://localhost:7860")],
            200,
        );
        for origin in [
            "http://localhost:7861",
            "http://evil.example",
            "null",
            "ftp://localhost:7860",
        ] {
            check(None, "POST /v1/predict", &[host, ("origin", origin)], 403);
            check(None, "GET /v1/models", &[host, ("origin", origin)], 200);
        }
        let own = ("origin", "http://localhost:7860");
        check(None, "POST /v1/predict", &[host, own, own], 403);
    }

    #[test]
    fn a_key_covers_every_route_but_health() {
        let host = ("host", "localhost");
        let check = |value: &str, expected| {
            let headers = [host, ("authorization", value)];
            check(Some("secret"), "GET /v1/models", &headers, expected);
        };
        check("Bearer secret", 200);
        check("bearer secret", 200);
        check(&format!("Basic {}", BASE64_STANDARD.encode("any:secret")), 200);
        let wrong = BASE64_STANDARD.encode("secret:wrong");
        let values = [
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secretsecret",
            "Bearer Secret",
            "secret",
        ];
        for value in values.map(str::to_owned).into_iter().chain([format!("Basic {wrong}")]) {
            check(&value, 401);
        }
        super::tests::check(Some("secret"), "GET /", &[host], 401);
        super::tests::check(Some("secret"), "GET /health", &[host], 200);
    }
}
