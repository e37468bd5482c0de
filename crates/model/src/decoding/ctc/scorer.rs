//! What the search asks of a language model: it knows tokens only by their numbers.

/// What a step adds to a hypothesis.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Natural, of the language model; minus infinity forbids the step, unless the model has no weight.
    pub log_probability: f32,
    /// How many units the step completes: tokens, words or whatever the model counts.
    pub insertions: u32,
}

/// A language model over the classes of a CTC model.
pub trait Scorer: Send + Sync {
    /// What it knows of the tokens so far.
    type State: Copy + Send;

    /// The state before the first token.
    fn begin(&self) -> Self::State;

    /// What a token adds, and the state after it. Never asked for the blank.
    fn extend(&self, state: Self::State, token: u32) -> (Score, Self::State);

    /// What the end of the text adds.
    fn end(&self, state: Self::State) -> Score;
}

/// No language model: each token counts as one insertion.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unscored;

impl Scorer for Unscored {
    type State = ();

    fn begin(&self) -> Self::State {}

    fn extend(&self, (): Self::State, _token: u32) -> (Score, Self::State) {
        let score = Score {
            log_probability: 0.0,
            insertions: 1,
        };
        (score, ())
    }

    fn end(&self, (): Self::State) -> Score {
        Score::default()
    }
}
