//! Speech recognition from 80 mel bands with CTC, in training: convolutions and a Transformer, or a recurrent network.

use super::{Step, training};
use crate::initial::{Initial, InitialError, cycle, made_up};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use sensorium_kernels::{ConvOptions, conv1d, ctc_loss, gelu};
use sensorium_model::layers::{Cell, LayerNorm, Linear, Rnn, TransformerBlock};
use sensorium_model::{Init, Layout, Pass, Tokens};

const BATCH: usize = 8;
const BANDS: usize = 80;
const WIDTH: usize = 256;
/// The blank and 31 characters.
const CLASSES: usize = 32;
const LABELS: usize = 20;

#[derive(Module, Debug)]
struct SpeechTransformer {
    /// [width, bands, 3]
    conv1_weight: Param<Tensor<3>>,
    conv1_bias: Param<Tensor<1>>,
    conv2_weight: Param<Tensor<3>>,
    conv2_bias: Param<Tensor<1>>,
    position: Param<Tensor<3>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    head: Linear,
}

impl SpeechTransformer {
    fn new(init: &Init) -> Self {
        let bound = |input: usize| 1.0 / ((3 * input) as f64).sqrt();
        let block = |index: usize| TransformerBlock::new(WIDTH, WIDTH, 4, 0.0, &init.at("blocks").at(index));
        Self {
            conv1_weight: init.uniform("conv1_weight", [WIDTH, BANDS, 3], bound(BANDS)),
            conv1_bias: init.uniform("conv1_bias", [WIDTH], bound(BANDS)),
            conv2_weight: init.uniform("conv2_weight", [WIDTH, WIDTH, 3], bound(WIDTH)),
            conv2_bias: init.uniform("conv2_bias", [WIDTH], bound(WIDTH)),
            position: init.normal("position", [1, 100, WIDTH], 0.02),
            blocks: (0..6).map(block).collect(),
            norm: LayerNorm::new(WIDTH, &init.at("norm")),
            head: Linear::new(WIDTH, CLASSES, &init.at("head")),
        }
    }

    /// `mel` [batch, 400, bands] → [batch, 100, classes]
    fn forward(&self, mel: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let options = ConvOptions {
            stride: [2],
            padding: [1],
            ..ConvOptions::default()
        };
        let x = gelu(conv1d(
            mel,
            self.conv1_weight.val(),
            Some(self.conv1_bias.val()),
            options,
        ));
        let x = gelu(conv1d(x, self.conv2_weight.val(), Some(self.conv2_bias.val()), options));
        let tokens = Tokens::full(x + self.position.val(), Layout::Sequence);
        let tokens = self
            .blocks
            .iter()
            .fold(tokens, |tokens, block| block.forward(tokens, pass));
        self.head.forward(self.norm.forward(tokens.embeddings))
    }
}

pub fn transformer(initial: Option<&Initial>) -> Result<Step, InitialError> {
    let mut model = SpeechTransformer::new(&Init::new(0, &training::device()));
    let mut mel = made_up([BATCH, 400, BANDS]);
    if let Some(initial) = initial {
        let rename = |path: &str| super::block_path(path).replace("1_", "1.").replace("2_", "2.");
        model = initial.apply(model, rename)?;
        mel = initial.input("mel", [BATCH, BANDS, 400])?.swap_dims(1, 2);
    }
    Ok(training::steps(model, move |model, pass| {
        mean_ctc(model.forward(mel.clone(), pass))
    }))
}

#[derive(Module, Debug)]
struct Recurrent {
    layers: Vec<Rnn>,
    head: Linear,
}

impl Recurrent {
    fn new(init: &Init) -> Self {
        let layer = |index: usize| {
            let input = if index == 0 { BANDS } else { 2 * WIDTH };
            Rnn::new(Cell::Lstm, input, WIDTH, true, &init.at("layers").at(index))
        };
        Self {
            layers: (0..2).map(layer).collect(),
            head: Linear::new(2 * WIDTH, CLASSES, &init.at("head")),
        }
    }

    /// `mel` [batch, frames, bands] → [batch, frames, classes]
    fn forward(&self, mel: Tensor<3>) -> Tensor<3> {
        let tokens = Tokens::full(mel, Layout::Sequence);
        let tokens = self.layers.iter().fold(tokens, |tokens, layer| layer.forward(tokens));
        self.head.forward(tokens.embeddings)
    }
}

pub fn recurrent(initial: Option<&Initial>) -> Result<Step, InitialError> {
    let mut model = Recurrent::new(&Init::new(0, &training::device()));
    let mut mel = made_up([BATCH, 200, BANDS]);
    if let Some(initial) = initial {
        model = initial.apply(model, rename)?;
        mel = initial.input("mel", [BATCH, 200, BANDS])?;
    }
    Ok(training::steps(model, move |model, _| {
        mean_ctc(model.forward(mel.clone()))
    }))
}

/// From paths such as `layers.0.backwards.input.weight` to those of `torch.nn.LSTM`.
fn rename(path: &str) -> String {
    let words: Vec<&str> = path.splitn(4, '.').collect();
    let ["layers", layer, direction, name] = words[..] else {
        return path.to_string();
    };
    let name = match name {
        "input.weight" => "weight_ih",
        "input.bias" => "bias_ih",
        "hidden_weight" => "weight_hh",
        _ => "bias_hh",
    };
    let suffix = if direction == "backwards" { "_reverse" } else { "" };
    format!("lstm.{name}_l{layer}{suffix}")
}

/// The loss of each row divided by its number of labels, as `torch.nn.functional.ctc_loss` takes its mean.
fn mean_ctc(logits: Tensor<3>) -> Tensor<1> {
    let [batch, frames, _] = logits.dims();
    let targets: Tensor<2, Int> = cycle([batch, LABELS], 1, CLASSES - 1, 1);
    ctc_loss(logits, targets, &vec![frames; batch], &vec![LABELS; batch], 0) / LABELS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurrent_paths_become_those_of_torch() {
        let cases = [
            ("layers.0.forwards.input.weight", "lstm.weight_ih_l0"),
            ("layers.1.backwards.hidden_bias", "lstm.bias_hh_l1_reverse"),
            ("layers.1.forwards.hidden_weight", "lstm.weight_hh_l1"),
            ("head.bias", "head.bias"),
        ];
        for (path, expected) in cases {
            assert_eq!(rename(path), expected);
        }
    }
}
