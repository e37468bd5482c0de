//! Reads request bodies within bounds of size, time and memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::ApiError;
use crate::options::Options;

/// Bytes that one permit of the memory semaphore stands for.
const PERMIT_BYTES: usize = 1024;

/// How long a body over the limit is read and thrown away, so that its sender gets to see the 413
/// rather than a broken connection.
const DISCARD: Duration = Duration::from_secs(5);

/// The bounds of request bodies, and the memory that they share.
pub(crate) struct BodyReader {
    limit: usize,
    timeout: Duration,
    memory: Arc<Semaphore>,
}

impl BodyReader {
    pub fn new(options: &Options) -> Self {
        let permits = options.body_memory.div_ceil(PERMIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            limit: options.body_limit,
            timeout: options.body_timeout,
            memory: Arc::new(Semaphore::new(permits)),
        }
    }

    /// The whole body and its share of the memory: 413 over the limit, 408 when it takes too long,
    /// 503 when other bodies take all the memory, 400 when it breaks off.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
        let announced = body.size_hint().lower();
        // A client that waits for `100 Continue` has sent nothing yet: it needs no discarding.
        if announced > self.limit as u64 && headers.contains_key(header::EXPECT) {
            return Err(self.too_large());
        }
        match timeout(self.timeout, self.collect(&mut body)).await {
            Ok(Err(error)) => {
                let _ = timeout(DISCARD.min(self.timeout), discard(&mut body)).await;
                Err(error)
            }
            Ok(whole) => whole,
            Err(_) => Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                format!(
                    "the body did not arrive within {} s; send it faster or make it smaller",
                    self.timeout.as_secs_f32()
                ),
            )),
        }
    }

    async fn collect(&self, body: &mut Body) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
        if body.size_hint().lower() > self.limit as u64 {
            return Err(self.too_large());
        }
        let mut bytes = Vec::new();
        let mut memory: Option<OwnedSemaphorePermit> = None;
        while let Some(chunk) = next_chunk(body).await {
            let chunk = chunk.map_err(|_| ApiError::bad_request("broken_body", "the body broke off; send it again"))?;
            if bytes.len() + chunk.len() > self.limit {
                return Err(self.too_large());
            }
            self.reserve(&mut memory, bytes.len() + chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes, memory))
    }

    /// Grows `memory` until it covers `bytes`.
    fn reserve(&self, memory: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), ApiError> {
        let held = memory.as_ref().map_or(0, |held| held.num_permits());
        let missing = bytes.div_ceil(PERMIT_BYTES).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| self.too_large())?;
        let more = self.memory.clone().try_acquire_many_owned(missing);
        let more = more.map_err(|_| ApiError::busy())?;
        match memory {
            Some(held) => held.merge(more),
            None => *memory = Some(more),
        }
        Ok(())
    }

    fn too_large(&self) -> ApiError {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!(
                "the body is over the limit of {} bytes; send a smaller file",
                self.limit
            ),
        )
    }
}

/// The next piece of data; `None` at the end of the body.
async fn next_chunk(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            // Trailers are no data.
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

async fn discard(body: &mut Body) {
    while let Some(Ok(_)) = next_chunk(body).await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `length` bytes under a limit of 3,000 and a shared memory of 4 KiB, of which
    /// `taken` KiB are in use; expects `status`, or success for `None`.
    async fn check(length: usize, taken: u32, status: Option<u16>) {
        let options = Options {
            body_limit: 3000,
            body_memory: 4096,
            ..Options::default()
        };
        let reader = BodyReader::new(&options);
        let _taken = reader.memory.clone().acquire_many_owned(taken).await.unwrap();
        let body = Body::from(vec![7; length]);
        let found = reader.read(&HeaderMap::new(), body).await;
        match (found, status) {
            (Ok((bytes, memory)), None) => {
                assert_eq!(bytes, vec![7; length]);
                let held = memory.map_or(0, |memory| memory.num_permits());
                assert_eq!(held, length.div_ceil(PERMIT_BYTES));
            }
            (Err(error), Some(status)) => {
                use axum::response::IntoResponse;
                assert_eq!(error.into_response().status().as_u16(), status);
                assert_eq!(reader.memory.available_permits(), 4 - taken as usize);
            }
            (found, _) => panic!("{length} bytes, {taken} KiB taken: {:?}", found.map(|_| ())),
        }
    }

    #[tokio::test]
    async fn a_body_stays_within_limit_and_memory() {
        check(0, 0, None).await;
        check(3000, 1, None).await;
        check(3001, 0, Some(413)).await;
        check(3000, 2, Some(503)).await;
    }
}
