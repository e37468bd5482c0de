//! EfficientNet-lite (Tan and Le 2019; the variants for small devices by Liu 2020, without squeeze and excitation and with
//! ReLU6), as `efficientnet_lite_pytorch` names its tensors.

use super::labels::{self, LabelHead};
use super::{Architecture, Head, Place};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BatchNorm, Dropout, Rates};
use crate::pass::Pass;
use crate::stems::StemConfig;
use crate::tokens::Tokens;
use crate::trunks::{Planes, Space, TrunkConfig};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{ImageConfig, Size};
use sensorium_kernels::{ConvOptions, conv2d, relu6};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The stages of the smallest variant: blocks, side of the kernel, stride, expansion, channels.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
];
/// Channels before the first stage, in every variant.
const FIRST: usize = 32;
/// Channels behind the last stage, in every variant.
const LAST: usize = 1280;
const COLORS: usize = EfficientNetConfig::COLORS;
/// Channels are multiples of this.
const DIVISOR: f64 = 8.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EfficientNetConfig {
    /// What the channels of the smallest variant are multiplied by.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub width: f64,
    /// What the blocks of each stage but the first and the last are multiplied by.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub depth: f64,
    /// Added to the variance in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// Stochastic depth, which grows to this in the last block.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub drop_path: f64,
}

impl Default for EfficientNetConfig {
    fn default() -> Self {
        Self {
            width: 1.0,
            depth: 1.0,
            epsilon: 1e-3,
            drop_path: 0.0,
        }
    }
}

/// A block of a stage.
#[derive(Clone, Copy)]
struct Shape {
    kernel: usize,
    stride: usize,
    expansion: usize,
    input: usize,
    output: usize,
}

impl EfficientNetConfig {
    /// The channels of a picture.
    pub const COLORS: usize = 3;

    /// All blocks, in order.
    fn blocks(&self) -> Vec<Shape> {
        let mut input = FIRST;
        let mut blocks = Vec::new();
        for (stage, [count, kernel, stride, expansion, channels]) in STAGES.into_iter().enumerate() {
            let inner = (1..STAGES.len() - 1).contains(&stage);
            let depth = if inner { self.depth } else { 1.0 };
            let output = self.channels(channels);
            for block in 0..(depth * count as f64).ceil() as usize {
                blocks.push(Shape {
                    kernel,
                    stride: if block == 0 { stride } else { 1 },
                    expansion,
                    input,
                    output,
                });
                input = output;
            }
        }
        blocks
    }

    /// Rounded to the nearest multiple, but not down by more than a tenth.
    fn channels(&self, channels: usize) -> usize {
        let wanted = channels as f64 * self.width;
        let rounded = ((wanted + DIVISOR / 2.0) / DIVISOR).floor().max(1.0) * DIVISOR;
        let up = if rounded < 0.9 * wanted { DIVISOR } else { 0.0 };
        (rounded + up) as usize
    }

    /// The numbers that the tensors hold, running statistics included.
    fn parameters(&self) -> usize {
        let blocks = self.blocks();
        let of_block = |block: &Shape| {
            let inner = block.input * block.expansion;
            let expand = if block.expansion > 1 {
                inner * (block.input + 4)
            } else {
                0
            };
            expand + inner * (block.kernel * block.kernel + 4) + block.output * (inner + 4)
        };
        let last = blocks.last().map_or(0, |block| block.output);
        let ends = FIRST * (9 * COLORS + 4) + LAST * (last + 4);
        blocks.iter().map(of_block).sum::<usize>() + ends
    }
}

/// Planes of pictures become a grid of 1,280 channels and a thirty-second of the sides.
#[derive(Module, Debug)]
pub struct EfficientNetTrunk {
    first: Unit,
    blocks: Vec<Block>,
    last: Unit,
}

/// An inverted residual (Sandler et al. 2018): channels are expanded, mixed in space one by one, and projected.
#[derive(Module, Debug)]
struct Block {
    expand: Option<Unit>,
    depthwise: Unit,
    project: Unit,
    /// Around a block that keeps its shape.
    residual: Option<Dropout>,
}

/// A convolution and its normalisation.
#[derive(Module, Debug)]
struct Unit {
    conv: SameConv,
    norm: BatchNorm,
}

/// A convolution with TensorFlow's `SAME` padding: the smallest that gives ⌈side / stride⌉ places, and where it is odd one
/// more behind than before.
#[derive(Module, Debug)]
struct SameConv {
    /// [output, input / groups, kernel, kernel]
    weight: Param<Tensor<4>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    groups: usize,
}

impl EfficientNetTrunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For other tokens than the pixels of pictures.
    pub fn new(config: &EfficientNetConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        if !matches!(space, Space::Plane { .. }) || input != COLORS {
            let message = "an efficient_net reads pictures behind the stem `pixels`";
            return Err(ModelError::config("trunk.kind", message));
        }
        let shapes = config.blocks();
        let rates = |index| {
            let rates = Rates {
                dropout: 0.0,
                drop_path: config.drop_path,
            };
            rates.of_layer(index, shapes.len())
        };
        let block = |(index, shape): (usize, &Shape)| {
            Block::new(*shape, rates(index), config.epsilon, &init.at("blocks").at(index))
        };
        let last = shapes.last().map_or(FIRST, |shape| shape.output);
        Ok(Self {
            first: Unit::new([COLORS, FIRST], [3, 2, 1], config.epsilon, &init.at("first")),
            blocks: shapes.iter().enumerate().map(block).collect(),
            last: Unit::new([last, LAST], [1, 1, 1], config.epsilon, &init.at("last")),
        })
    }

    pub fn width(&self) -> usize {
        LAST
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let planes = Planes::fold(tokens).map(|pixels| self.first.active(pixels, pass));
        let forward = |planes, block: &Block| block.forward(planes, pass);
        let planes = self.blocks.iter().fold(planes, forward);
        planes.map(|values| self.last.active(values, pass)).into_tokens()
    }
}

impl Block {
    fn new(shape: Shape, rates: Rates, epsilon: f64, init: &Init) -> Self {
        let Shape {
            kernel,
            stride,
            expansion,
            input,
            output,
        } = shape;
        let inner = input * expansion;
        let unit = |name: &str, channels, taps| Unit::new(channels, taps, epsilon, &init.at(name));
        Self {
            expand: (expansion > 1).then(|| unit("expand", [input, inner], [1, 1, 1])),
            depthwise: unit("depthwise", [inner, inner], [kernel, stride, inner]),
            project: unit("project", [inner, output], [1, 1, 1]),
            residual: (stride == 1 && input == output).then(|| Dropout::new(rates, &init.at("residual"))),
        }
    }

    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let before = planes.values.clone();
        let after = planes.map(|values| {
            let values = match &self.expand {
                Some(expand) => expand.active(values, pass),
                None => values,
            };
            let mixed = self.depthwise.active(values, pass);
            self.project.forward(mixed, pass)
        });
        match &self.residual {
            Some(dropout) => Planes::change(before, after, dropout, pass),
            None => after,
        }
    }
}

impl Unit {
    /// From `input` to `output` channels, with a kernel of a side, a stride and a number of groups.
    fn new([input, output]: [usize; 2], [kernel, stride, groups]: [usize; 3], epsilon: f64, init: &Init) -> Self {
        let fan = input / groups * kernel * kernel;
        let bound = (6.0 / fan as f64).sqrt();
        let conv = init.at("conv");
        Self {
            conv: SameConv {
                weight: conv.uniform("weight", [output, input / groups, kernel, kernel], bound),
                stride,
                groups,
            },
            norm: BatchNorm::with_epsilon(output, epsilon, &init.at("norm")),
        }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x), pass)
    }

    /// With ReLU6 behind it.
    fn active(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        relu6(self.forward(x, pass))
    }
}

impl SameConv {
    /// [batch, height, width, input] → [batch, ⌈height / stride⌉, ⌈width / stride⌉, output]
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let ([_, height, width, _], [_, _, kernel, _]) = (x.dims(), weight.dims());
        let padding = |side: usize| ((side.div_ceil(self.stride) - 1) * self.stride + kernel).saturating_sub(side);
        let [rows, columns] = [padding(height), padding(width)];
        let x = behind(behind(x, 1, rows % 2), 2, columns % 2);
        let options = ConvOptions {
            stride: [self.stride; 2],
            padding: [rows / 2, columns / 2],
            groups: self.groups,
            ..ConvOptions::default()
        };
        conv2d(x, weight, None, options)
    }
}

/// `count` planes of zeros behind an axis.
fn behind(x: Tensor<4>, axis: usize, count: usize) -> Tensor<4> {
    if count == 0 {
        return x;
    }
    let mut shape = x.dims();
    shape[axis] = count;
    let zeros = Tensor::zeros(shape, &x.device());
    Tensor::cat(vec![x, zeros], axis)
}

/// What is read of a `config.json`.
#[derive(Deserialize)]
struct Public {
    width_coefficient: f64,
    depth_coefficient: f64,
    image_size: u32,
    #[serde(default = "default_epsilon")]
    batch_norm_eps: f64,
    #[serde(default)]
    drop_connect_rate: f64,
    #[serde(default)]
    id2label: BTreeMap<usize, String>,
}

fn default_epsilon() -> f64 {
    EfficientNetConfig::default().epsilon
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: serde_json::Value) -> Result<Architecture, String> {
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let within = |name: &str, value: f64, low: f64, high: f64| match (low..=high).contains(&value) {
        true => Ok(value),
        false => Err(format!("{name}: expected a number from {low} to {high}, found {value}")),
    };
    let trunk = EfficientNetConfig {
        width: within("width_coefficient", public.width_coefficient, 0.1, 10.0)?,
        depth: within("depth_coefficient", public.depth_coefficient, 0.1, 10.0)?,
        epsilon: within("batch_norm_eps", public.batch_norm_eps, 0.0, 1.0)?,
        drop_path: within("drop_connect_rate", public.drop_connect_rate, 0.0, 0.95)?,
    };
    let labels = labels::in_order(public.id2label)?;
    within("image_size", f64::from(public.image_size), 32.0, 4096.0)?;
    Ok(Architecture {
        stem: Some(StemConfig::Pixels),
        head: labels.map_or(Head::Nothing, |labels| Head::Labels(LabelHead::linear(labels))),
        parameters: trunk.parameters() as u128,
        processor: ProcessorConfig::Image(ImageConfig {
            size: Size::new(public.image_size, public.image_size),
            // TensorFlow's lite variants were trained on (pixel - 127) / 128.
            mean: [127.0 / 255.0; COLORS],
            deviation: [128.0 / 255.0; COLORS],
            ..ImageConfig::default()
        }),
        trunk: Some(TrunkConfig::EfficientNet(trunk)),
        place,
        lacks: |_| false,
    })
}

fn place(name: &str) -> Place {
    if let Some(parameter) = name.strip_prefix("_fc.") {
        return Place::Head(format!("output.{parameter}"));
    }
    if name.ends_with(".num_batches_tracked") {
        return Place::Known;
    }
    let path = match name.strip_prefix("_blocks.") {
        None => in_ends(name),
        Some(rest) => rest.split_once('.').and_then(|(index, rest)| {
            let digits = index.bytes().all(|digit| digit.is_ascii_digit());
            in_block(rest)
                .filter(|_| digits)
                .map(|ours| format!("blocks.{index}.{ours}"))
        }),
    };
    path.map_or(Place::Unknown, |path| Place::Parameter(format!("trunk.{path}")))
}

fn in_ends(name: &str) -> Option<String> {
    let (layer, parameter) = name.split_once('.')?;
    let ours = match layer {
        "_conv_stem" => "first.conv",
        "_bn0" => "first.norm",
        "_conv_head" => "last.conv",
        "_bn1" => "last.norm",
        _ => return None,
    };
    Some(format!("{ours}.{parameter}"))
}

fn in_block(name: &str) -> Option<String> {
    let (layer, parameter) = name.split_once('.')?;
    let ours = match layer {
        "_expand_conv" => "expand.conv",
        "_bn0" => "expand.norm",
        "_depthwise_conv" => "depthwise.conv",
        "_bn1" => "depthwise.norm",
        "_project_conv" => "project.conv",
        "_bn2" => "project.norm",
        _ => return None,
    };
    Some(format!("{ours}.{parameter}"))
}
