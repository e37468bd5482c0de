//! Turns a request body, JSON or multipart, into the inputs of one sample.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};
use axum::http::{HeaderValue, Request, StatusCode, header};
use serde::Deserialize;

use crate::error::ApiError;
use crate::given::{Given, Item, Names};
use crate::media::{data_url, decode, files, joined, not_media};
use crate::turns;
use crate::wire::{Description, InputDescription, InputValue, Inputs, Modality};

/// The two forms of a request.
enum Form {
    Json,
    Multipart,
}

/// The body of a JSON request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    inputs: Names,
}

/// What `parse` needs to know of the model and the server.
pub(crate) struct Accepted<'a> {
    pub description: &'a Description,
    /// The longest text in bytes.
    pub text_limit: usize,
}

/// The inputs of one sample. Empty texts and empty file fields, which a browser's form sends for
/// fields that nobody filled in, count as absent; at least one input must be there.
pub(crate) async fn parse(
    accepted: &Accepted<'_>,
    content_type: Option<&HeaderValue>,
    body: Vec<u8>,
) -> Result<Inputs, ApiError> {
    let inputs = match form(content_type)? {
        Form::Json => accepted.json(&body)?,
        Form::Multipart => accepted.multipart(content_type, body).await?,
    };
    match inputs.is_empty() {
        true => Err(ApiError::bad_request(
            "no_inputs",
            format!("at least one input is needed; this model takes {}", accepted.names()),
        )),
        false => Ok(inputs),
    }
}

fn form(content_type: Option<&HeaderValue>) -> Result<Form, ApiError> {
    let media_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        "application/json" => Ok(Form::Json),
        "multipart/form-data" => Ok(Form::Multipart),
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the Content-Type must be multipart/form-data or application/json",
        )),
    }
}

impl Accepted<'_> {
    fn json(&self, body: &[u8]) -> Result<Inputs, ApiError> {
        let document: Document = serde_json::from_slice(body).map_err(|error| {
            ApiError::bad_request(
                "invalid_json",
                format!(
                    "the body must be JSON like {{\"inputs\": {{NAME: VALUE}}}}; it fails at \
                     line {}, column {}",
                    error.line(),
                    error.column()
                ),
            )
        })?;
        let mut inputs = Inputs::new();
        for (name, value) in document.inputs.0 {
            let input = self.find(&name)?;
            if let Some(value) = self.json_value(input, value)? {
                inputs.insert(name, value);
            }
        }
        Ok(inputs)
    }

    fn json_value(&self, input: &InputDescription, value: Given) -> Result<Option<InputValue>, ApiError> {
        let is_text = input.modality == Modality::Text;
        match value {
            Given::Null => Ok(None),
            Given::Text(text) if is_text => self.text(input, text),
            Given::List(items) if is_text => self.turns(input, items),
            Given::List(items) if input.list.is_some() => files(input, items),
            Given::Text(url) => Ok(Some(data_url(&url).ok_or_else(|| not_media(input))?)),
            Given::Base64(base64) if !is_text => Ok(Some(decode(&base64).ok_or_else(|| not_media(input))?)),
            _ if is_text => Err(not_text(input)),
            _ => Err(not_media(input)),
        }
    }

    async fn multipart(&self, content_type: Option<&HeaderValue>, body: Vec<u8>) -> Result<Inputs, ApiError> {
        let mut parts = multipart_of(content_type, body).await?;
        let mut inputs = Inputs::new();
        while let Some(part) = parts.next_field().await.map_err(|_| bad_multipart())? {
            let input = self.find(part.name().ok_or_else(bad_multipart)?)?;
            let is_file = part.file_name().is_some_and(|name| !name.is_empty());
            let is_json = part.content_type() == Some("application/json");
            let bytes = part.bytes().await.map_err(|_| bad_multipart())?.to_vec();
            let value = match is_json && input.turns {
                true => self.json_value(
                    input,
                    serde_json::from_slice(&bytes).map_err(|_| turns::refused(input))?,
                )?,
                false => self.part_value(input, is_file, bytes)?,
            };
            let Some(value) = value else {
                continue;
            };
            let value = match inputs.remove(&input.name) {
                Some(before) => joined(input, before, value)?,
                None => value,
            };
            inputs.insert(input.name.clone(), value);
        }
        Ok(inputs)
    }

    fn part_value(
        &self,
        input: &InputDescription,
        is_file: bool,
        bytes: Vec<u8>,
    ) -> Result<Option<InputValue>, ApiError> {
        if input.modality == Modality::Text {
            return self.text(input, String::from_utf8(bytes).map_err(|_| not_text(input))?);
        }
        if is_file {
            return Ok(Some(InputValue::Bytes(bytes)));
        }
        match bytes.starts_with(b"data:") {
            true => {
                let url = std::str::from_utf8(&bytes).ok().and_then(data_url);
                Ok(Some(url.ok_or_else(|| not_media(input))?))
            }
            false => Ok((!bytes.is_empty()).then_some(InputValue::Bytes(bytes))),
        }
    }

    fn text(&self, input: &InputDescription, text: String) -> Result<Option<InputValue>, ApiError> {
        self.check_length(input, text.len())?;
        Ok((!text.trim().is_empty()).then_some(InputValue::Text(text)))
    }

    /// A dialogue, whose texts together are bounded like one text.
    fn turns(&self, input: &InputDescription, items: Vec<Item>) -> Result<Option<InputValue>, ApiError> {
        let turns = turns::parse(input, items)?;
        self.check_length(input, turns.iter().map(turns::length).sum())?;
        Ok(turns.iter().any(turns::is_filled).then_some(InputValue::Turns(turns)))
    }

    fn check_length(&self, input: &InputDescription, length: usize) -> Result<(), ApiError> {
        if length <= self.text_limit {
            return Ok(());
        }
        let message = format!(
            "the text of {} has {length} bytes, over the limit of {}; shorten it",
            input.name, self.text_limit
        );
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "text_too_long", message);
        Err(error.with_field(&input.name))
    }

    fn find(&self, name: &str) -> Result<&InputDescription, ApiError> {
        self.description
            .inputs
            .iter()
            .find(|input| input.name == name)
            .ok_or_else(|| {
                ApiError::bad_request(
                    "unknown_input",
                    format!("the request names an unknown input; this model takes {}", self.names()),
                )
            })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.description.inputs.iter().map(|i| i.name.as_str()).collect();
        names.join(", ")
    }
}

async fn multipart_of(content_type: Option<&HeaderValue>, body: Vec<u8>) -> Result<Multipart, ApiError> {
    let mut request = Request::new(Body::from(body));
    if let Some(content_type) = content_type {
        request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    // The body was bounded when it was read; the extractor's own limit is lower.
    DefaultBodyLimit::disable().apply(&mut request);
    Multipart::from_request(request, &()).await.map_err(|_| bad_multipart())
}

fn not_text(input: &InputDescription) -> ApiError {
    let message = format!("the input {} must be text in UTF-8", input.name);
    ApiError::bad_request("not_text", message).with_field(&input.name)
}

fn bad_multipart() -> ApiError {
    ApiError::bad_request(
        "invalid_multipart",
        "the body is not a whole multipart form with one named part per input; check its boundary",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use serde_json::Value;

    fn description() -> Description {
        let talk = InputDescription {
            turns: true,
            ..InputDescription::new("talk", Modality::Text)
        };
        let pages = InputDescription {
            list: Some(2),
            ..InputDescription::new("pages", Modality::Image)
        };
        Description {
            inputs: vec![
                InputDescription::new("image", Modality::Image),
                InputDescription::new("question", Modality::Text),
                talk,
                pages,
            ],
            ..Description::default()
        }
    }

    async fn parsed(content_type: &str, body: &[u8]) -> Result<Inputs, ApiError> {
        let accepted = Accepted {
            description: &description(),
            text_limit: 20,
        };
        let content_type = content_type.parse().ok();
        parse(&accepted, content_type.as_ref(), body.to_vec()).await
    }

    /// What a request gives: `status code`, or the inputs as `name=value` with bytes in brackets.
    async fn check(content_type: &str, body: &[u8], expected: &str) {
        let found = match parsed(content_type, body).await {
            Ok(inputs) => {
                let show = |(name, value)| match value {
                    InputValue::Text(text) => format!("{name}={text}"),
                    InputValue::Turns(turns) => format!("{name}={turns:?}"),
                    InputValue::Bytes(bytes) => format!("{name}={bytes:?}"),
                    InputValue::Several(files) => format!("{name}={files:?}"),
                };
                inputs.into_iter().map(show).collect::<Vec<String>>().join(" ")
            }
            Err(error) => {
                let response = error.into_response();
                let status = response.status().as_u16();
                let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
                let value: Value = serde_json::from_slice(&body).unwrap();
                format!("{status} {}", value["error"]["code"].as_str().unwrap())
            }
        };
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(body));
    }

    #[tokio::test]
    async fn json_gives_texts_and_media() {
        for (body, expected) in [
            (r#"{"inputs": {"question": "hi"}}"#, "question=hi"),
            (r#"{"inputs": {"image": {"base64": "AQI="}}}"#, "image=[1, 2]"),
            (
                r#"{"inputs": {"image": {"base64": "AQI"}, "question": null}}"#,
                "image=[1, 2]",
            ),
            (r#"{"inputs": {"image": "data:image/png;base64,AQI="}}"#, "image=[1, 2]"),
            (r#"{"inputs": {"question": "data:,"}}"#, "question=data:,"),
            (r#"{"inputs": {"question": " "}}"#, "400 no_inputs"),
            (r#"{"inputs": {}}"#, "400 no_inputs"),
            (r#"{"inputs": {"sound": "x"}}"#, "400 unknown_input"),
            (r#"{"inputs": {"image": "/etc/passwd"}}"#, "400 not_media"),
            (r#"{"inputs": {"image": "file:///etc/passwd"}}"#, "400 not_media"),
            (r#"{"inputs": {"image": {"base64": "!"}}}"#, "400 not_media"),
            (
                r#"{"inputs": {"image": {"base64": "AQI=", "path": "x"}}}"#,
                "400 not_media",
            ),
            (r#"{"inputs": {"image": 3}}"#, "400 not_media"),
            (r#"{"inputs": {"question": 3}}"#, "400 not_text"),
            (
                r#"{"inputs": {"question": "longer than twenty bytes"}}"#,
                "422 text_too_long",
            ),
            (r#"{"inputs": {"question": "hi"}, "more": 1}"#, "400 invalid_json"),
            (r#"{"inputs": ["#, "400 invalid_json"),
            ("", "400 invalid_json"),
        ] {
            check("application/json; charset=utf-8", body.as_bytes(), expected).await;
        }
    }

    #[tokio::test]
    async fn an_input_that_takes_a_list_takes_several_files() {
        for (files, expected) in [
            (r#"[{"base64": "AQ"}, "data:image/png;base64,Ag"]"#, "pages=[[1], [2]]"),
            (r#"[{"base64": "AQ"}]"#, "pages=[1]"),
            ("[]", "400 no_inputs"),
            (r#"[{"base64": "AQ"}, "a.png"]"#, "400 not_media"),
            (r#"[["a", "b"]]"#, "400 not_media"),
            ("[null]", "400 not_media"),
            (
                r#"[{"base64": "AQ"}, {"base64": "AQ"}, {"base64": "AQ"}]"#,
                "400 too_many_files",
            ),
        ] {
            let document = format!(r#"{{"inputs": {{"pages": {files}}}}}"#);
            check("application/json", document.as_bytes(), expected).await;
        }
        check(
            "application/json",
            br#"{"inputs": {"image": [{"base64": "AQ"}]}}"#,
            "400 not_media",
        )
        .await;
        let part = |name: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n\u{1}\r\n")
        };
        let form = |name: &str, count: usize| format!("{}--B--\r\n", part(name).repeat(count));
        for (name, count, expected) in [
            ("pages", 1, "pages=[1]"),
            ("pages", 2, "pages=[[1], [1]]"),
            ("pages", 3, "400 too_many_files"),
            ("image", 2, "400 duplicate_input"),
        ] {
            check(
                "multipart/form-data; boundary=B",
                form(name, count).as_bytes(),
                expected,
            )
            .await;
        }
    }

    #[tokio::test]
    async fn a_dialogue_is_a_list_of_turns() {
        let turns = r#"[["hi", "ho"], "so?"]"#;
        let shown = r#"talk=[Asked { question: "hi", answer: Some("ho") }, Text("so?")]"#;
        for (turns, expected) in [
            (turns, shown),
            (r#""so?""#, "talk=so?"),
            ("[]", "400 no_inputs"),
            (r#"[["", " "], ""]"#, "400 no_inputs"),
            (r#"[["a", "b", "c"]]"#, "400 not_turns"),
            (r#"[["seven b", "seven b"], "seven b"]"#, "422 text_too_long"),
        ] {
            let document = format!(r#"{{"inputs": {{"talk": {turns}}}}}"#);
            check("application/json", document.as_bytes(), expected).await;
            let part = "--B\r\nContent-Disposition: form-data; name=\"talk\"; filename=\"blob\"\r\n\
                        Content-Type: application/json\r\n\r\n";
            let form = format!("{part}{turns}\r\n--B--\r\n");
            check("multipart/form-data; boundary=B", form.as_bytes(), expected).await;
        }
        check(
            "application/json",
            br#"{"inputs": {"question": [["hi", "ho"], "so?"]}}"#,
            "400 not_turns",
        )
        .await;
    }

    #[tokio::test]
    async fn multipart_gives_texts_and_media() {
        let text = |name: &str, value: &str| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = |name: &str, file: &str, value: &str| {
            format!(
                "--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
                 Content-Type: image/png\r\n\r\n{value}\r\n"
            )
        };
        for (parts, expected) in [
            (text("question", "hi"), "question=hi"),
            (file("question", "q.txt", "hi"), "question=hi"),
            (
                file("image", "a.png", "\u{1}") + &text("question", "hi"),
                "image=[1] question=hi",
            ),
            (file("image", "", "") + &text("question", "hi"), "question=hi"),
            (file("image", "a.png", ""), "image=[]"),
            (text("image", "data:image/png;base64,AQI="), "image=[1, 2]"),
            (text("image", "data:image/png,AQI="), "400 not_media"),
            (text("question", ""), "400 no_inputs"),
            (String::new(), "400 no_inputs"),
            (text("sound", "x"), "400 unknown_input"),
            (text("question", "a") + &text("question", "b"), "400 duplicate_input"),
        ] {
            let body = format!("{parts}--B--\r\n");
            check("multipart/form-data; boundary=B", body.as_bytes(), expected).await;
        }
        let cut = text("question", "hi");
        check(
            "multipart/form-data; boundary=B",
            cut.as_bytes(),
            "400 invalid_multipart",
        )
        .await;
        check("multipart/form-data", cut.as_bytes(), "400 invalid_multipart").await;
    }

    #[tokio::test]
    async fn other_content_types_are_refused() {
        for content_type in [
            "",
            "text/plain",
            "application/jsonx",
            "application/x-www-form-urlencoded",
        ] {
            check(content_type, b"{}", "415 unsupported_media_type").await;
        }
    }

    #[tokio::test]
    async fn errors_do_not_repeat_what_the_client_sent() {
        for body in [
            r#"{"inputs": {"SENT": "x"}}"#,
            r#"{"inputs": {"image": "SENT"}}"#,
            r#"{"SENT": 1}"#,
        ] {
            let error = parsed("application/json", body.as_bytes()).await.unwrap_err();
            let body = error.into_response().into_body();
            let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("SENT"));
        }
    }
}
