//! What a model says of one utterance: the log probability of each class in each frame.

use crate::{ModelError, Result};

/// Natural log probabilities [frames, classes]; one of the classes is the blank.
#[derive(Debug, Clone, Copy)]
pub struct Frames<'a> {
    values: &'a [f32],
    classes: usize,
    blank: usize,
}

impl<'a> Frames<'a> {
    /// # Errors
    /// [`Config`](ModelError::Config) where the numbers do not fit together, or a value is no log probability: not a
    /// number, or positive infinity.
    pub fn new(values: &'a [f32], frames: usize, classes: usize, blank: usize) -> Result<Self> {
        if blank >= classes || frames.checked_mul(classes) != Some(values.len()) {
            let found = values.len();
            let message =
                format!("expected {frames} frames of {classes} classes with blank {blank}, found {found} values");
            return Err(ModelError::config("frames", message));
        }
        if let Some(at) = values
            .iter()
            .position(|value| value.is_nan() || *value == f32::INFINITY)
        {
            let (frame, class, found) = (at / classes, at % classes, values[at]);
            let message = format!("expected a log probability of class {class} in frame {frame}, found {found}");
            return Err(ModelError::config("frames", message));
        }
        Ok(Self { values, classes, blank })
    }

    pub fn len(&self) -> usize {
        self.values.len() / self.classes
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    pub fn blank(&self) -> usize {
        self.blank
    }

    /// The log probability of each class in one frame.
    pub fn frame(&self, frame: usize) -> &'a [f32] {
        &self.values[frame * self.classes..][..self.classes]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.classes)
    }

    /// Refuses tokens that are no classes or the blank.
    pub(super) fn check(&self, tokens: &[u32]) -> Result<()> {
        let wrong = |&&token: &&u32| token as usize >= self.classes || token as usize == self.blank;
        match tokens.iter().find(wrong) {
            None => Ok(()),
            Some(token) => {
                let message = format!("expected classes below {} but the blank, found {token}", self.classes);
                Err(ModelError::config("tokens", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f32], frames: usize, classes: usize, blank: usize, expected: Option<&str>) {
        let message = Frames::new(values, frames, classes, blank)
            .err()
            .map(|error| error.to_string());
        match (message, expected) {
            (Some(message), Some(expected)) => assert!(message.contains(expected), "{message}"),
            (message, expected) => assert_eq!(message.as_deref(), expected),
        }
    }

    #[test]
    fn numbers_must_fit_together() {
        let half = -0.7;
        check(&[half; 6], 3, 2, 1, None);
        check(&[], 0, 2, 1, None);
        check(&[half, f32::NEG_INFINITY], 1, 2, 0, None);
        check(&[half; 6], 3, 2, 2, Some("blank 2"));
        check(&[half; 6], 2, 2, 0, Some("found 6 values"));
        check(&[], usize::MAX, 2, 0, Some("found 0 values"));
        check(
            &[half, half, half, f32::NAN],
            2,
            2,
            0,
            Some("class 1 in frame 1, found NaN"),
        );
    }
}
