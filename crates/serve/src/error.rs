//! What can go wrong: starting the server ([`ServeError`]) and answering a request (`ApiError`).

use std::io;
use std::net::SocketAddr;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::wire::ItemError;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("there is no model to serve; name at least one run folder")]
    NoModels,
    #[error(
        "two models are both named `{name}`, and requests choose a model by its name; serve one of \
         them, or rename one run folder"
    )]
    DuplicateModel { name: String },
    #[error(
        "the address {addr} is in use by another program; stop that program, or choose another \
         port, such as --addr {}:{}",
        .addr.ip(), .addr.port().wrapping_add(1)
    )]
    AddressInUse { addr: SocketAddr },
    #[error("cannot listen on {addr}: {source}; choose an address of this machine")]
    Bind { addr: SocketAddr, source: io::Error },
    #[error(
        "{addr} can be reached from other machines, so it needs an API key; set one, or listen on \
         127.0.0.1"
    )]
    KeyRequired { addr: SocketAddr },
    #[error(
        "the API key is empty or holds a space or a character outside ASCII, which no \
         Authorization header can carry; choose another key"
    )]
    UnusableKey,
    #[error("the option {option} is 0, so that no request could be answered; set it to 1 or more")]
    Zero { option: &'static str },
    #[error("cannot start the server's threads or signal handlers: {0}; free some and try again")]
    Runtime(io::Error),
}

/// An error response: `{"error": {"code", "message", "field"?}}` under its status.
///
/// Messages hold no paths, no addresses and nothing that the client sent.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<String>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            field: None,
        }
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The server has no room now; the client should try again soon.
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "the server has as many requests as it can hold; try again in a second",
        )
    }

    pub fn with_field(self, field: &str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..self
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                // Programs send the key as a bearer token; a browser asks for it by Basic.
                for scheme in ["Bearer realm=\"sensorium\"", "Basic realm=\"sensorium\""] {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
                }
            }
            // What is left of the body would otherwise be read as the next request.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        headers
    }
}

impl From<ItemError> for ApiError {
    fn from(error: ItemError) -> Self {
        let status = match error.code {
            ItemError::INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self {
            status,
            code: error.code,
            message: error.message,
            field: error.field,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(field) = &self.field {
            error["field"] = field.as_str().into();
        }
        (self.status, self.headers(), Json(json!({"error": error}))).into_response()
    }
}
