//! Perplexity and bits per byte of language models.

use super::Metrics;
use std::ops::AddAssign;

/// How likely a model finds some texts. Sums of rows give a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Likelihood {
    /// The negative log-likelihood of all tokens, to base e.
    pub nats: f64,
    /// The tokens that were predicted, an end mark among them.
    pub tokens: u64,
    /// The bytes of the texts in UTF-8.
    pub bytes: u64,
}

impl Likelihood {
    /// `perplexity` and `bits_per_byte`.
    pub fn metrics(&self) -> Metrics {
        let values = [
            ("perplexity", self.perplexity()),
            ("bits_per_byte", self.bits_per_byte()),
        ];
        values.map(|(name, value)| (name.to_string(), value)).into()
    }

    /// exp of the mean loss of a token. Depends on the tokeniser.
    pub fn perplexity(&self) -> f64 {
        (self.nats / self.tokens.max(1) as f64).exp()
    }

    /// The mean loss of a byte to base 2. Comparable between tokenisers.
    pub fn bits_per_byte(&self) -> f64 {
        self.nats / std::f64::consts::LN_2 / self.bytes.max(1) as f64
    }
}

impl AddAssign<&Self> for Likelihood {
    fn add_assign(&mut self, other: &Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::close;
    use super::*;
    use proptest::prelude::*;

    fn check(nats: f64, tokens: u64, bytes: u64, perplexity: f64, bits_per_byte: f64) {
        let likelihood = Likelihood { nats, tokens, bytes };
        let metrics = likelihood.metrics();
        close(metrics["perplexity"], perplexity);
        close(metrics["bits_per_byte"], bits_per_byte);
    }

    #[test]
    fn a_uniform_model_has_the_perplexity_of_its_vocabulary() {
        check(10.0 * 256_f64.ln(), 10, 10, 256.0, 8.0);
        check(3.0 * 2_f64.ln(), 3, 12, 2.0, 0.25);
        check(0.0, 5, 9, 1.0, 0.0);
        check(0.0, 0, 0, 1.0, 0.0);
    }

    proptest! {
        #[test]
        fn a_sum_lies_between_its_parts(parts in prop::collection::vec((0.0_f64..50.0, 1_u64..20, 1_u64..60), 1..9)) {
            let parts: Vec<Likelihood> = parts.into_iter().map(|(nats, tokens, bytes)| Likelihood { nats, tokens, bytes }).collect();
            let mut sum = Likelihood::default();
            parts.iter().for_each(|part| sum += part);
            for measure in [Likelihood::perplexity, Likelihood::bits_per_byte] {
                let low = parts.iter().map(measure).fold(f64::INFINITY, f64::min);
                let high = parts.iter().map(measure).fold(0.0, f64::max);
                prop_assert!(measure(&sum) >= low * (1.0 - 1e-9) && measure(&sum) <= high * (1.0 + 1e-9));
            }
        }
    }
}
