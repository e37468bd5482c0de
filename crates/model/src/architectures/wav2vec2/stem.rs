//! How wav2vec 2.0 begins (Baevski et al. 2020): convolutions over raw samples, and a projection of what they give.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{EPSILON, LayerNorm, Linear};
use crate::tokens::{Layout, Tokens, lengths, plain};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{ConvOptions, conv1d, gelu, group_norm};
use serde::{Deserialize, Serialize};

/// Convolutions without padding over the samples of a sound, with GELU behind each, and a projection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wav2Vec2StemConfig {
    /// Of each convolution the width of what it gives, its kernel and its stride.
    #[schemars(length(min = 1, max = 16), inner(inner(range(min = 1, max = 8192))))]
    pub convolutions: Vec<[usize; 3]>,
    /// Whether convolutions have biases.
    #[serde(default)]
    pub bias: bool,
    #[serde(default)]
    pub norm: StemNorm,
    /// The width of a token.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// Added to the variance in the normalisation in front of the projection.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
}

/// What is normalised between the convolutions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StemNorm {
    /// Each channel over the whole sound, behind the first convolution alone.
    #[default]
    Group,
    /// Each place over its channels, behind every convolution.
    Layer,
}

#[derive(Module, Debug)]
pub struct Wav2Vec2Stem {
    convolutions: Vec<Convolution>,
    norm: LayerNorm,
    projection: Linear,
    #[module(skip)]
    config: Wav2Vec2StemConfig,
}

#[derive(Module, Debug)]
struct Convolution {
    /// [output, input, kernel]
    weight: Param<Tensor<3>>,
    /// [output]
    bias: Option<Param<Tensor<1>>>,
    norm: Option<Norm>,
    #[module(skip)]
    stride: usize,
}

#[derive(Module, Debug)]
enum Norm {
    Channel(ChannelNorm),
    Layer(LayerNorm),
}

/// Normalises each channel over the real places of a sequence: group normalisation with as many groups as channels (Wu and He
/// 2018), into which no padding enters.
#[derive(Module, Debug)]
struct ChannelNorm {
    /// [channels]
    weight: Param<Tensor<1>>,
    /// [channels]
    bias: Param<Tensor<1>>,
}

impl Wav2Vec2StemConfig {
    /// The samples that one token is made of.
    pub fn reach(&self) -> usize {
        let layers = self.convolutions.iter().rev();
        layers.fold(1, |places, [_, kernel, stride]| {
            (places - 1).saturating_mul(*stride).saturating_add(*kernel)
        })
    }

    /// The tokens of a sound of so many samples, one at least.
    pub fn tokens(&self, samples: usize) -> usize {
        let layers = self.convolutions.iter();
        layers.fold(samples.max(self.reach()), |length, [_, kernel, stride]| {
            (length - kernel) / stride + 1
        })
    }

    /// The numbers that the tensors hold.
    pub fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let (mut input, mut sum) = (1, 0u128);
        for (index, [output, kernel, _]) in self.convolutions.iter().enumerate() {
            let vectors = usize::from(self.bias) + if self.norm.stands_behind(index) { 2 } else { 0 };
            let filters = of(input).saturating_mul(of(*kernel)).saturating_add(of(vectors));
            sum = sum.saturating_add(filters.saturating_mul(of(*output)));
            input = *output;
        }
        let projection = of(input).saturating_mul(of(self.width));
        sum.saturating_add(projection)
            .saturating_add(2 * of(input) + of(self.width))
    }
}

impl StemNorm {
    /// Whether there is a norm behind the convolution `index`.
    fn stands_behind(self, index: usize) -> bool {
        self == Self::Layer || index == 0
    }
}

impl Wav2Vec2Stem {
    /// A frame has `bins` numbers.
    ///
    /// # Errors
    /// For other features than the samples of one channel, and without convolutions.
    pub fn new(config: &Wav2Vec2StemConfig, bins: usize, init: &Init) -> Result<Self> {
        if bins != 1 {
            let message = format!(
                "expected the samples of one channel (`features = {{ kind = \"waveform\" }}`), found frames of {bins} numbers"
            );
            return Err(ModelError::config("features", message));
        }
        let sizes = config.convolutions.iter().flatten();
        let Some([last, ..]) = config.convolutions.last().filter(|_| sizes.min() > Some(&0)) else {
            let message = format!(
                "expected one at least, and no size of 0, found {:?}",
                config.convolutions
            );
            return Err(ModelError::config("stem.convolutions", message));
        };
        let inputs = std::iter::once(1).chain(config.convolutions.iter().map(|[output, ..]| *output));
        let layer = |(index, input)| Convolution::new(config, index, input, &init.at("convolutions").at(index));
        Ok(Self {
            convolutions: inputs.take(config.convolutions.len()).enumerate().map(layer).collect(),
            norm: LayerNorm::with_epsilon(*last, config.epsilon, &init.at("norm")),
            projection: Linear::new(*last, config.width, &init.at("projection")),
            config: config.clone(),
        })
    }

    pub fn width(&self) -> usize {
        self.projection.output_width()
    }

    /// The tokens of a sound of so many samples.
    pub fn tokens(&self, samples: usize) -> usize {
        self.config.tokens(samples)
    }

    /// [batch, samples, 1] → a sequence with a token wherever a whole window of samples is real. A sound that is shorter than one
    /// has one token, with silence behind what is real.
    pub fn forward(&self, values: Tensor<3>, mask: Tensor<2, Bool>) -> Tokens {
        let tokens = self.filled(Tokens::new(values, mask, Layout::Sequence).zero_padding());
        let tokens = self
            .convolutions
            .iter()
            .fold(tokens, |tokens, layer| layer.forward(tokens));
        let normal = self.norm.forward(tokens.embeddings);
        Tokens {
            embeddings: self.projection.forward(normal),
            ..tokens
        }
    }

    /// Sounds with the silence that one window needs.
    fn filled(&self, tokens: Tokens) -> Tokens {
        let [batch, length, _] = tokens.embeddings.dims();
        let reach = self.config.reach();
        let device = plain(&tokens.embeddings.device());
        let (mut values, mut mask) = (tokens.embeddings, tokens.mask);
        if length < reach {
            let missing = Tensor::<3>::zeros([batch, reach - length, 1], &device);
            let padding = Tensor::<2>::zeros([batch, reach - length], &device).bool();
            (values, mask) = (
                Tensor::cat(vec![values, missing], 1),
                Tensor::cat(vec![mask, padding], 1),
            );
        }
        let length = length.max(reach);
        let window = Tensor::<1, Int>::arange(0..length as i64, &device).lower_elem(reach as i64);
        let mask = mask.bool_or(window.reshape([1, length]).expand([batch, length]));
        Tokens::new(values, mask, Layout::Sequence)
    }
}

impl Convolution {
    /// He's initialisation (He et al. 2015), as the original has it.
    fn new(config: &Wav2Vec2StemConfig, index: usize, input: usize, init: &Init) -> Self {
        let [output, kernel, stride] = config.convolutions[index];
        let fan = (input * kernel) as f64;
        let at = init.at("norm");
        let norm = match config.norm {
            StemNorm::Group => Norm::Channel(ChannelNorm {
                weight: at.constant([output], 1.0),
                bias: at.constant([output], 0.0),
            }),
            StemNorm::Layer => Norm::Layer(LayerNorm::new(output, &at)),
        };
        Self {
            weight: init.normal("weight", [output, input, kernel], (2.0 / fan).sqrt()),
            bias: config.bias.then(|| init.uniform("bias", [output], fan.sqrt().recip())),
            norm: Some(norm).filter(|_| config.norm.stands_behind(index)),
            stride,
        }
    }

    fn kernel(&self) -> usize {
        self.weight.dims()[2]
    }

    /// What is real of the output is made of real places alone.
    fn forward(&self, tokens: Tokens) -> Tokens {
        let options = ConvOptions {
            stride: [self.stride],
            ..ConvOptions::default()
        };
        let bias = self.bias.as_ref().map(Param::val);
        let x = conv1d(tokens.embeddings, self.weight.val(), bias, options);
        let mask = whole_windows(tokens.mask, self.kernel(), self.stride);
        let x = match &self.norm {
            Some(Norm::Channel(norm)) => norm.forward(x, &lengths(&mask)),
            Some(Norm::Layer(norm)) => norm.forward(x),
            None => x,
        };
        Tokens::new(gelu(x), mask, Layout::Sequence)
    }
}

impl ChannelNorm {
    /// `x` [batch, length, channels], of which the first `real` places of each sequence are so; the others become zero.
    fn forward(&self, x: Tensor<3>, real: &[usize]) -> Tensor<3> {
        let [_, length, channels] = x.dims();
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let normal = |x| group_norm(x, channels, weight.clone(), bias.clone(), EPSILON);
        if real.iter().all(|&count| count == length) {
            return normal(x);
        }
        let device = plain(&x.device());
        let sequence = |(row, &count): (usize, &usize)| {
            let own = normal(x.clone().narrow(0, row, 1).narrow(1, 0, count));
            match length - count {
                0 => own,
                rest => Tensor::cat(vec![own, Tensor::zeros([1, rest, channels], &device)], 1),
            }
        };
        Tensor::cat(real.iter().enumerate().map(sequence).collect(), 0)
    }
}

/// The mask of what a convolution without padding leaves: an output is real where the last place of its window is.
fn whole_windows(mask: Tensor<2, Bool>, kernel: usize, stride: usize) -> Tensor<2, Bool> {
    let ends = (kernel - 1) as i64..mask.dims()[1] as i64;
    let ends = Tensor::<1, Int>::arange_step(ends, stride, &mask.device());
    mask.int().select(1, ends).bool()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use crate::parameters::{gradients, parameters};
    use burn::tensor::Device;
    use serde_json::json;

    const WIDTH: usize = 6;

    fn config(norm: &str) -> Wav2Vec2StemConfig {
        let config = json!({
            "convolutions": [[4, 10, 5], [4, 3, 2], [6, 2, 2]], "bias": norm == "layer", "norm": norm, "width": WIDTH,
            "epsilon": 1e-5
        });
        serde_json::from_value(config).unwrap()
    }

    fn stem(norm: &str, device: &Device) -> Wav2Vec2Stem {
        Wav2Vec2Stem::new(&config(norm), 1, &Init::new(3, device)).unwrap()
    }

    /// Sounds of so many samples side by side, with other numbers than zeros behind the shorter ones.
    fn tokens(stem: &Wav2Vec2Stem, lengths: &[usize], device: &Device) -> Tokens {
        let longest = *lengths.iter().max().unwrap();
        let sample = |row: usize, at: usize| ((row * 31 + at * (row + 1)) as f32 * 0.7).sin();
        let values = (0..lengths.len()).flat_map(|row| (0..longest).map(move |at| sample(row, at)));
        let values: Vec<f32> = values.collect();
        let mask: Vec<f32> = lengths
            .iter()
            .flat_map(|&length| (0..longest).map(move |at| if at < length { 1.0 } else { 0.0 }))
            .collect();
        let shape = [lengths.len(), longest];
        let values = Tensor::<1>::from_floats(values.as_slice(), device).reshape([shape[0], shape[1], 1]);
        let mask = Tensor::<1>::from_floats(mask.as_slice(), &plain(device)).reshape(shape);
        stem.forward(values, mask.bool())
    }

    #[test]
    fn a_token_is_made_of_whole_windows() {
        for (samples, expected) in [(1, 1), (30, 1), (49, 1), (50, 2), (69, 2), (70, 3), (170, 8)] {
            assert_eq!(config("group").reach(), 30);
            assert_eq!(config("group").tokens(samples), expected, "{samples}");
            let device = Device::flex();
            let stem = stem("group", &device);
            assert_eq!(stem.tokens(samples), expected, "{samples}");
            let found = tokens(&stem, &[samples], &device);
            assert_eq!(lengths(&found.mask), [expected], "{samples}");
            assert_eq!(found.embeddings.dims(), [1, expected, WIDTH], "{samples}");
        }
    }

    #[test]
    fn a_sound_is_read_beside_others_as_by_itself() {
        let device = Device::flex();
        for norm in ["group", "layer"] {
            let stem = stem(norm, &device);
            let all = [123, 47, 12, 123];
            let together = tokens(&stem, &all, &device);
            assert_eq!(lengths(&together.mask), [5, 1, 1, 5], "{norm}");
            for (row, length) in all.into_iter().enumerate() {
                // The same samples: those of its row.
                let mut alone = vec![1; row];
                alone.push(length);
                let alone = tokens(&stem, &alone, &device);
                let real = lengths(&together.mask)[row];
                let of = |tokens: &Tokens| to_vec(tokens.embeddings.clone().narrow(0, row, 1).narrow(1, 0, real));
                for (found, expected) in of(&together).iter().zip(of(&alone)) {
                    assert!(
                        (found - expected).abs() < 1e-5,
                        "{norm}, {row}: {found}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_gradient_reaches_every_parameter() {
        let device = Device::flex().autodiff();
        for norm in ["group", "layer"] {
            let stem = stem(norm, &device);
            let found = tokens(&stem, &[123, 90], &device);
            let weights: Vec<f32> = (0..2 * 5 * WIDTH).map(|at| (at as f32).cos()).collect();
            let weights = Tensor::<1>::from_floats(weights.as_slice(), &device).reshape([2, 5, WIDTH]);
            let found = gradients(&stem, &mut (found.zero_padding().embeddings * weights).sum().backward());
            for path in parameters(&stem).into_keys() {
                let gradient = found
                    .get(&path)
                    .unwrap_or_else(|| panic!("{norm}: none reaches {path}"));
                assert!(
                    to_vec(gradient.clone()).iter().any(|value| *value != 0.0),
                    "{norm}: {path}"
                );
            }
        }
    }

    #[test]
    fn other_features_than_samples_are_refused() {
        let init = Init::new(1, &Device::flex());
        let error = Wav2Vec2Stem::new(&config("group"), 80, &init).unwrap_err().to_string();
        assert!(error.contains("waveform") && error.contains("80 numbers"), "{error}");
        let none = Wav2Vec2StemConfig {
            convolutions: Vec::new(),
            ..config("group")
        };
        assert!(Wav2Vec2Stem::new(&none, 1, &init).is_err());
    }
}
