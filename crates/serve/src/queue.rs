//! The batching queue: requests wait in bounded room, one thread answers them in batches.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::engine::Engine;
use crate::wire::{Inputs, ItemError, Outputs};

type Answer = Result<Outputs, ItemError>;

/// One request on its way to the compute thread.
struct Job {
    engine: usize,
    inputs: Inputs,
    reply: oneshot::Sender<Answer>,
    /// The share of the body memory that `inputs` takes, given back with the answer.
    _memory: Option<OwnedSemaphorePermit>,
}

/// The sending side of the queue; the compute thread ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Job>,
}

/// Why a request got no answer from the engine.
#[derive(Debug, PartialEq)]
pub(crate) enum QueueError {
    /// As many requests as the queue holds are waiting already.
    Full,
    Item(ItemError),
}

impl Queue {
    /// Starts the compute thread. `capacity` requests may wait, `max_batch` go into one call.
    pub fn start(engines: Vec<Arc<dyn Engine>>, capacity: usize, max_batch: usize) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(capacity);
        thread::Builder::new()
            .name("compute".to_owned())
            .spawn(move || work(receiver, &engines, max_batch))?;
        Ok(Self { sender })
    }

    /// Waits for the answer of engine number `engine`. Dropping the future withdraws the request.
    pub async fn predict(
        &self,
        engine: usize,
        inputs: Inputs,
        memory: Option<OwnedSemaphorePermit>,
    ) -> Result<Outputs, QueueError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            engine,
            inputs,
            reply,
            _memory: memory,
        };
        self.sender.try_send(job).map_err(|_| QueueError::Full)?;
        answer
            .await
            .unwrap_or_else(|_| Err(ItemError::internal()))
            .map_err(QueueError::Item)
    }
}

/// The compute thread: takes what waits as one batch, until no one can send any more.
fn work(mut receiver: mpsc::Receiver<Job>, engines: &[Arc<dyn Engine>], max_batch: usize) {
    while let Some(first) = receiver.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < max_batch
            && let Ok(job) = receiver.try_recv()
        {
            batch.push(job);
        }
        // A closed reply means that the client has gone.
        batch.retain(|job| !job.reply.is_closed());
        for (index, engine) in engines.iter().enumerate() {
            let jobs: Vec<Job> = batch.extract_if(.., |job| job.engine == index).collect();
            answer(engine.as_ref(), jobs);
        }
    }
}

/// Answers the jobs of one engine in one call or, when that call panics, each in its own.
fn answer(engine: &dyn Engine, jobs: Vec<Job>) {
    if jobs.len() > 1 {
        let samples = jobs.iter().map(|job| job.inputs.clone()).collect();
        if let Some(answers) = guarded(engine, samples) {
            for (job, answer) in jobs.into_iter().zip(answers) {
                // The only failure is a client that left during the computation.
                let _ = job.reply.send(answer);
            }
            return;
        }
    }
    for job in jobs {
        let alone = guarded(engine, vec![job.inputs]).and_then(|mut answers| answers.pop());
        let _ = job.reply.send(alone.unwrap_or_else(|| Err(ItemError::internal())));
    }
}

/// Calls the engine; `None` when it panicked or did not answer every sample.
fn guarded(engine: &dyn Engine, samples: Vec<Inputs>) -> Option<Vec<Answer>> {
    let expected = samples.len();
    let answers = catch_unwind(AssertUnwindSafe(|| engine.predict(samples))).ok()?;
    (answers.len() == expected).then_some(answers)
}
