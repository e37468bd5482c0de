//! Media files as they come in a request.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::ApiError;
use crate::given::Item;
use crate::wire::{InputDescription, InputValue, Turn};

/// Standard base64, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The files of a list; none where it is empty.
pub(crate) fn files(input: &InputDescription, items: Vec<Item>) -> Result<Option<InputValue>, ApiError> {
    let mut found: Option<InputValue> = None;
    for item in items {
        let value = match item {
            Item::Turn(Turn::Text(url)) => data_url(&url),
            Item::Base64(base64) => decode(&base64),
            Item::Turn(Turn::Asked { .. }) | Item::Null | Item::Other => None,
        };
        let value = value.ok_or_else(|| not_media(input))?;
        found = Some(match found {
            Some(before) => joined(input, before, value)?,
            None => value,
        });
    }
    Ok(found)
}

/// What an input has already and one file more.
pub(crate) fn joined(input: &InputDescription, before: InputValue, value: InputValue) -> Result<InputValue, ApiError> {
    let mut files = match (before, input.list) {
        (InputValue::Bytes(bytes), Some(_)) => vec![bytes],
        (InputValue::Several(files), Some(_)) => files,
        _ => {
            let message = format!("the input {} is there twice; send it once", input.name);
            return Err(ApiError::bad_request("duplicate_input", message).with_field(&input.name));
        }
    };
    match (value, input.list) {
        (InputValue::Bytes(bytes), Some(most)) if files.len() < most => files.push(bytes),
        _ => {
            let most = input.list.unwrap_or(1);
            let message = format!("the input {} takes at most {most} files; leave some out", input.name);
            return Err(ApiError::bad_request("too_many_files", message).with_field(&input.name));
        }
    }
    Ok(InputValue::Several(files))
}

/// The bytes of a `data:` URL in base64; any other URL is never opened.
pub(crate) fn data_url(url: &str) -> Option<InputValue> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    decode(head.ends_with(";base64").then_some(data)?)
}

pub(crate) fn decode(base64: &str) -> Option<InputValue> {
    BASE64.decode(base64).ok().map(InputValue::Bytes)
}

pub(crate) fn not_media(input: &InputDescription) -> ApiError {
    let message = format!(
        "the input {} must be {{\"base64\": \"…\"}} or a data: URL in base64, or a file part of a \
         multipart form; paths and other URLs are not opened",
        input.name
    );
    ApiError::bad_request("not_media", message).with_field(&input.name)
}
