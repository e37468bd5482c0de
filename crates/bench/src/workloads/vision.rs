//! Vision Transformers (Dosovitskiy et al. 2021) over pictures of 224 × 224: ViT-Tiny in training, and ViT-Base answering.

use super::{Step, training};
use crate::initial::{Initial, InitialError, cycle, made_up};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use sensorium_kernels::{ConvOptions, CrossEntropyOptions, Precision, conv2d, cross_entropy, release_freed_memory};
use sensorium_model::layers::{LayerNorm, Linear, TransformerBlock};
use sensorium_model::{Init, Layout, Pass, Tokens};

const PATCH: usize = 16;
const SIDE: usize = 224;
const POSITIONS: usize = (SIDE / PATCH) * (SIDE / PATCH) + 1;
const CLASSES: usize = 1000;

#[derive(Module, Debug)]
struct VisionTransformer {
    /// [width, 3, 16, 16]
    patch_weight: Param<Tensor<4>>,
    patch_bias: Param<Tensor<1>>,
    class_token: Param<Tensor<3>>,
    position: Param<Tensor<3>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    head: Linear,
}

impl VisionTransformer {
    fn new(width: usize, depth: usize, heads: usize, init: &Init) -> Self {
        let bound = 1.0 / ((3 * PATCH * PATCH) as f64).sqrt();
        let block = |index: usize| TransformerBlock::new(width, width, heads, 0.0, &init.at("blocks").at(index));
        Self {
            patch_weight: init.uniform("patch_weight", [width, 3, PATCH, PATCH], bound),
            patch_bias: init.uniform("patch_bias", [width], bound),
            class_token: init.normal("class_token", [1, 1, width], 0.02),
            position: init.normal("position", [1, POSITIONS, width], 0.02),
            blocks: (0..depth).map(block).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            head: Linear::new(width, CLASSES, &init.at("head")),
        }
    }

    /// `image` [batch, 224, 224, 3] → [batch, classes]
    fn forward(&self, image: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let batch = image.dims()[0];
        let options = ConvOptions {
            stride: [PATCH; 2],
            ..ConvOptions::default()
        };
        let patches = conv2d(image, self.patch_weight.val(), Some(self.patch_bias.val()), options);
        let width = patches.dims()[3];
        let patches = patches.reshape([batch, POSITIONS - 1, width]);
        let class = self.class_token.val().expand([batch, 1, width]);
        let x = Tensor::cat(vec![class, patches], 1) + self.position.val();
        let tokens = self
            .blocks
            .iter()
            .fold(Tokens::full(x, Layout::Sequence), |tokens, block| {
                block.forward(tokens, pass)
            });
        let first = self
            .norm
            .forward(tokens.embeddings)
            .narrow(1, 0, 1)
            .reshape([batch, width]);
        self.head.forward(first)
    }
}

/// ViT-Base on `batch` pictures, without a gradient; the result is the sum of the logits.
pub fn inference(initial: Option<&Initial>, batch: usize) -> Result<Step, InitialError> {
    let mut model = VisionTransformer::new(768, 12, 12, &Init::new(0, &Device::flex()));
    let mut image = made_up([batch, SIDE, SIDE, 3]);
    if let Some(initial) = initial {
        model = initial.apply(model, rename)?;
        image = initial.input("image", [batch, 3, SIDE, SIDE])?.permute([0, 2, 3, 1]);
    }
    let blocks = model
        .blocks
        .into_iter()
        .map(|block| block.pack(Precision::Float32))
        .collect();
    let model = VisionTransformer { blocks, ..model };
    release_freed_memory();
    Ok(Box::new(move || {
        let logits = model.forward(image.clone(), &Pass::evaluation());
        f64::from(logits.sum().into_scalar::<f32>())
    }))
}

/// ViT-Tiny on 8 pictures.
pub fn training(initial: Option<&Initial>) -> Result<Step, InitialError> {
    let mut model = VisionTransformer::new(192, 12, 3, &Init::new(0, &training::device()));
    let mut image = made_up([8, SIDE, SIDE, 3]);
    if let Some(initial) = initial {
        model = initial.apply(model, rename)?;
        image = initial.input("image", [8, 3, SIDE, SIDE])?.permute([0, 2, 3, 1]);
    }
    let targets = cycle([8], 7, CLASSES, 0);
    Ok(training::steps(model, move |model, pass| {
        cross_entropy(
            model.forward(image.clone(), pass),
            targets.clone(),
            CrossEntropyOptions::default(),
        )
    }))
}

/// From paths here to those of the exported file.
fn rename(path: &str) -> String {
    super::block_path(path).replace("patch_", "patch.")
}
