//! The routes and their handlers.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::body::BodyReader;
use crate::engine::Engine;
use crate::error::{ApiError, ServeError};
use crate::guard::{Guard, guard};
use crate::inputs::{Accepted, parse};
use crate::options::Options;
use crate::page;
use crate::queue::{Queue, QueueError};
use crate::wire::{Description, Outputs};

/// What the handlers share.
struct App {
    engines: Vec<Arc<dyn Engine>>,
    /// The description of each engine, in the same order.
    descriptions: Vec<Description>,
    queue: Queue,
    bodies: BodyReader,
    options: Options,
}

/// The query of the routes that concern one model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    model: Option<String>,
}

/// The answer of `POST /v1/predict`.
#[derive(Serialize)]
struct Prediction<'a> {
    model: &'a str,
    outputs: Outputs,
}

/// Builds the router and starts the compute thread behind it.
pub(crate) fn router(engines: Vec<Arc<dyn Engine>>, options: &Options) -> Result<Router, ServeError> {
    let descriptions: Vec<Description> = engines.iter().map(|engine| engine.describe()).collect();
    check_names(&descriptions)?;
    let queue =
        Queue::start(engines.clone(), options.queue_capacity, options.max_batch).map_err(ServeError::Runtime)?;
    let access = Guard {
        api_key: options.api_key.clone(),
        loopback: options.addr.ip().is_loopback(),
    };
    let bodies = BodyReader::new(options);
    let app = App {
        engines,
        descriptions,
        queue,
        bodies,
        options: options.clone(),
    };
    Ok(Router::new()
        .route("/", get(async || page::index()))
        .route("/assets/{name}", get(asset))
        .route("/health", get(health))
        .route("/v1/models", get(models))
        .route("/v1/examples/{index}", get(example))
        .route("/v1/predict", post(predict))
        .fallback(async || unknown_route())
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(access), guard))
        .with_state(Arc::new(app)))
}

/// Requests choose a model by its name, so that there must be one and names must differ.
fn check_names(descriptions: &[Description]) -> Result<(), ServeError> {
    if descriptions.is_empty() {
        return Err(ServeError::NoModels);
    }
    for (index, description) in descriptions.iter().enumerate() {
        if descriptions[..index]
            .iter()
            .any(|earlier| earlier.name == description.name)
        {
            return Err(ServeError::DuplicateModel {
                name: description.name.clone(),
            });
        }
    }
    Ok(())
}

async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    page::asset(&name).ok_or_else(unknown_route)
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "models": app.descriptions,
        "limits": {"body_bytes": app.options.body_limit, "text_bytes": app.options.text_limit},
    }))
}

async fn example(
    State(app): State<Arc<App>>,
    choice: Result<Query<Choice>, QueryRejection>,
    Path(index): Path<String>,
) -> Result<Response, ApiError> {
    let model = app.choose(choice)?;
    let count = app.descriptions[model].example_images;
    let index = index.parse().ok().filter(|index| *index < count);
    let picture = index.and_then(|index: usize| app.engines[model].example(index));
    let (bytes, media_type) = picture.ok_or_else(|| {
        let message = format!("this model has {count} example pictures, counted from 0");
        ApiError::new(StatusCode::NOT_FOUND, "unknown_example", message)
    })?;
    Ok(([(header::CONTENT_TYPE, media_type)], bytes).into_response())
}

async fn predict(
    State(app): State<Arc<App>>,
    choice: Result<Query<Choice>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let model = app.choose(choice)?;
    let description = &app.descriptions[model];
    let (head, body) = request.into_parts();
    let (body, memory) = app.bodies.read(&head.headers, body).await?;
    let accepted = Accepted {
        description,
        text_limit: app.options.text_limit,
    };
    let inputs = parse(&accepted, head.headers.get(header::CONTENT_TYPE), body).await?;
    let answer = app.queue.predict(model, inputs, memory).await;
    let outputs = answer.map_err(|error| match error {
        QueueError::Full => ApiError::busy(),
        QueueError::Item(error) => error.into(),
    })?;
    Ok(Json(Prediction {
        model: &description.name,
        outputs,
    })
    .into_response())
}

impl App {
    /// The index of the model that `?model=` names: the first without one.
    fn choose(&self, choice: Result<Query<Choice>, QueryRejection>) -> Result<usize, ApiError> {
        let Query(choice) = choice
            .map_err(|_| ApiError::bad_request("invalid_query", "the query may hold ?model=NAME and nothing else"))?;
        let Some(name) = choice.model else {
            return Ok(0);
        };
        self.descriptions
            .iter()
            .position(|model| model.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self.descriptions.iter().map(|m| m.name.as_str()).collect();
                let message = format!("there is no such model; this server has {}", names.join(", "));
                ApiError::new(StatusCode::NOT_FOUND, "unknown_model", message)
            })
    }
}

fn unknown_route() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_route",
        "there is nothing here; the routes are GET /, GET /health, GET /v1/models and \
         POST /v1/predict",
    )
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this route does not take this method; the Allow header names those it takes",
    )
}
