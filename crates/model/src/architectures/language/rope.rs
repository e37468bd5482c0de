//! What a configuration says of rotary positions, in the words of `transformers` 5 or in older ones.

use crate::decoder::{Llama3Config, StretchConfig};
use serde::Deserialize;
use serde_json::{Value, json};

/// The base of wavelengths where none is named.
const BASE: f64 = 10_000.0;

/// The settings of rotary positions.
#[derive(Deserialize)]
pub struct PublicRope {
    rope_theta: Option<f64>,
    rope_parameters: Option<Parameters>,
    /// Their older name.
    rope_scaling: Option<Parameters>,
    partial_rotary_factor: Option<f64>,
}

#[derive(Deserialize)]
struct Parameters {
    rope_type: Option<String>,
    /// Its older name.
    #[serde(rename = "type")]
    kind: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f64>,
}

impl PublicRope {
    /// The base and the stretch of the waves; `places` are those of the model.
    ///
    /// # Errors
    /// For a kind that is not known here, and for numbers that no waves can have.
    pub fn read(&self, places: usize) -> Result<(f64, Option<StretchConfig>), String> {
        let (name, parameters) = match (&self.rope_parameters, &self.rope_scaling) {
            (Some(parameters), _) => ("rope_parameters", Some(parameters)),
            (None, scaling) => ("rope_scaling", scaling.as_ref()),
        };
        let of = |one: fn(&Parameters) -> Option<f64>| parameters.and_then(one);
        let part = of(|one| one.partial_rotary_factor).or(self.partial_rotary_factor);
        if part.is_some_and(|part| part != 1.0) {
            return Err("partial_rotary_factor: expected 1, found another, which is not known here".into());
        }
        let base = of(|one| one.rope_theta).or(self.rope_theta).unwrap_or(BASE);
        if !(base >= 1.0 && base.is_finite()) {
            return Err(format!("rope_theta: expected at least 1, found {base}"));
        }
        let stretch = match parameters {
            Some(parameters) => parameters.stretch(places).map_err(|wrong| format!("{name}.{wrong}"))?,
            None => None,
        };
        Ok((base, stretch))
    }
}

/// What a configuration says of waves with this base and stretch.
pub fn written(base: f64, stretch: Option<&StretchConfig>) -> Value {
    match stretch {
        None => json!({"rope_type": "default", "rope_theta": base}),
        Some(StretchConfig::Linear { factor }) => json!({"rope_type": "linear", "rope_theta": base, "factor": factor}),
        Some(StretchConfig::Llama3(config)) => json!({
            "rope_type": "llama3",
            "rope_theta": base,
            "factor": config.factor,
            "low_freq_factor": config.low_frequency,
            "high_freq_factor": config.high_frequency,
            "original_max_position_embeddings": config.places,
        }),
    }
}

impl Parameters {
    fn stretch(&self, places: usize) -> Result<Option<StretchConfig>, String> {
        let kind = self.rope_type.as_deref().or(self.kind.as_deref());
        match kind.unwrap_or("default") {
            "default" => Ok(None),
            "linear" => Ok(Some(StretchConfig::Linear {
                factor: number("factor", self.factor, 1.0)?,
            })),
            "llama3" => self.llama3(places).map(Some),
            other => Err(format!(
                "rope_type: expected `default`, `linear` or `llama3`, found `{other}`, which is not known here"
            )),
        }
    }

    fn llama3(&self, places: usize) -> Result<StretchConfig, String> {
        let low_frequency = number("low_freq_factor", self.low_freq_factor, f64::MIN_POSITIVE)?;
        let high_frequency = number("high_freq_factor", self.high_freq_factor, f64::MIN_POSITIVE)?;
        if high_frequency <= low_frequency {
            return Err(format!(
                "high_freq_factor: expected more than low_freq_factor {low_frequency}, found {high_frequency}"
            ));
        }
        Ok(StretchConfig::Llama3(Llama3Config {
            factor: number("factor", self.factor, 1.0)?,
            low_frequency,
            high_frequency,
            places: self.original_max_position_embeddings.unwrap_or(places),
        }))
    }
}

/// A number that must be there, and be as large as `least`.
fn number(name: &str, found: Option<f64>, least: f64) -> Result<f64, String> {
    match found {
        Some(found) if found >= least && found.is_finite() => Ok(found),
        Some(found) => Err(format!("{name}: expected at least {least}, found {found}")),
        None => Err(format!("{name}: expected a number, found none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: Value) -> Result<(f64, Option<StretchConfig>), String> {
        let rope: PublicRope = serde_json::from_value(config).unwrap();
        rope.read(128)
    }

    fn check(config: Value, base: f64, stretch: Option<StretchConfig>) {
        assert_eq!(read(config).unwrap(), (base, stretch));
    }

    #[test]
    fn new_words_and_old_ones_say_the_same() {
        check(json!({}), 1e4, None);
        check(json!({"rope_theta": 5e5, "rope_scaling": null}), 5e5, None);
        check(
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
            1e6,
            None,
        );
        let linear = Some(StretchConfig::Linear { factor: 2.0 });
        check(json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), 1e4, linear);
        let factors = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4});
        let llama = |places| {
            Some(StretchConfig::Llama3(Llama3Config {
                factor: 8.0,
                low_frequency: 1.0,
                high_frequency: 4.0,
                places,
            }))
        };
        check(
            json!({"rope_scaling": factors.clone(), "rope_theta": 5e5}),
            5e5,
            llama(128),
        );
        let mut named = factors;
        named["original_max_position_embeddings"] = json!(64);
        check(json!({"rope_parameters": named}), 1e4, llama(64));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for stretch in [
            None,
            Some(StretchConfig::Linear { factor: 2.5 }),
            Some(StretchConfig::Llama3(Llama3Config {
                factor: 8.0,
                low_frequency: 1.0,
                high_frequency: 4.0,
                places: 64,
            })),
        ] {
            check(json!({"rope_parameters": written(5e5, stretch.as_ref())}), 5e5, stretch);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let refused = |config: Value, words: &str| {
            let found = read(config).unwrap_err();
            assert!(found.contains(words), "{found}");
        };
        refused(
            json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}),
            "rope_scaling.rope_type: expected `default`",
        );
        refused(
            json!({"rope_parameters": {"rope_type": "dynamic"}}),
            "rope_parameters.rope_type",
        );
        refused(
            json!({"rope_scaling": {"type": "linear"}}),
            "rope_scaling.factor: expected a number",
        );
        refused(
            json!({"rope_scaling": {"type": "linear", "factor": 0.5}}),
            "at least 1, found 0.5",
        );
        refused(json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor");
        refused(json!({"rope_theta": 0.0}), "rope_theta");
        let same = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4});
        refused(json!({"rope_scaling": same}), "more than low_freq_factor 4");
    }
}
