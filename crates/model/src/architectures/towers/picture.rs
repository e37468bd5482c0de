//! A Transformer over the patches of a picture, as ViT (Dosovitskiy et al. 2021), DINOv2 (Oquab et al. 2024) and the picture
//! towers of CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023) have it.

use super::blocks::Block;
use super::places::resampled;
use super::pool::AttentionPool;
use super::{BlocksConfig, Resampling};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{LayerNorm, Order};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, plain};
use crate::trunks::Space;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// The deviation of what learned tokens and places begin as.
const DEVIATION: f64 = 0.02;
/// Tiles that are read together, so that what is between their blocks needs no more memory than so many pictures.
const AT_ONCE: usize = 16;

/// Pre-norm blocks over patches with learned places, behind the stem `vit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VitTrunkConfig {
    #[serde(flatten)]
    pub blocks: BlocksConfig,
    /// The rows and columns that there are learned places for; they are resampled for pictures with other ones.
    #[schemars(inner(range(min = 1, max = 4096)))]
    pub grid: [usize; 2],
    #[serde(default)]
    pub resampling: Resampling,
    /// Learned tokens beside that of the class, which have no place (Darcet et al. 2024).
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub registers: usize,
    /// Whether tokens are normalised before the first block too.
    #[serde(default)]
    pub norm_before: bool,
    #[serde(default)]
    pub summary: Summary,
}

/// How the tokens of a picture become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// The state of the token of the class, normalised as all others.
    #[default]
    Class,
    /// The state of the token of the class, which alone is normalised.
    NormalizedClass,
    /// The state of the token of the class, normalised as all others, which stays in front of them: then they are a sequence.
    KeptClass,
    /// What a learned query reads of the patches, normalised all; there is no token of the class.
    Attention,
    /// The mean of the patches, normalised all; there is no token of the class.
    Mean,
}

/// The tokens of the class and the registers stand before the patches inside, and are no part of the layout unless they are kept.
#[derive(Module, Debug)]
pub struct VitTrunk {
    /// [width]
    class: Option<Param<Tensor<1>>>,
    /// [registers, width]
    registers: Option<Param<Tensor<2>>>,
    /// Of the class where there is one, and of the patches row by row, [places, width].
    places: Param<Tensor<2>>,
    norm_before: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pool: Option<AttentionPool>,
    #[module(skip)]
    config: VitTrunkConfig,
}

impl VitTrunkConfig {
    /// Tokens that have a place and are no patches.
    fn classes(&self) -> usize {
        usize::from(!matches!(self.summary, Summary::Attention | Summary::Mean))
    }

    /// The numbers that the tensors hold.
    pub fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let width = of(self.blocks.width);
        let places = of(self.grid[0]).saturating_mul(of(self.grid[1]));
        let norms = if self.norm_before { 4 } else { 2 };
        let vectors = places + of(2 * self.classes() + self.registers) + norms;
        let pool = match self.summary {
            Summary::Attention => AttentionPool::parameters(&self.blocks),
            Summary::Class | Summary::NormalizedClass | Summary::KeptClass | Summary::Mean => 0,
        };
        let blocks = self.blocks.parameters();
        blocks
            .saturating_add(vectors.saturating_mul(width))
            .saturating_add(pool)
    }
}

impl VitTrunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For other tokens than the patches of pictures, and for widths that do not fit.
    pub fn new(config: &VitTrunkConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        if !matches!(space, Space::Plane { .. }) {
            let message = "a vit reads pictures, behind the stem `vit` or `patch`";
            return Err(ModelError::config("trunk.kind", message));
        }
        let blocks = &config.blocks;
        let (width, [rows, columns]) = (blocks.width, config.grid);
        let class = || init.normal("class", [width], DEVIATION);
        let registers = || init.normal("registers", [config.registers, width], DEVIATION);
        let places = [rows * columns + config.classes(), width];
        let pool = || AttentionPool::new(blocks, &init.at("pool"));
        Ok(Self {
            class: (config.classes() > 0).then(class),
            registers: (config.registers > 0).then(registers),
            places: init.normal("places", places, DEVIATION),
            norm_before: config.norm_before.then(|| blocks.norm(&init.at("norm_before"))),
            blocks: blocks.build(input, init)?,
            norm: blocks.norm(&init.at("norm")),
            pool: (config.summary == Summary::Attention).then(pool),
            config: config.clone(),
        })
    }

    pub fn width(&self) -> usize {
        self.config.blocks.width
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            pool: self.pool.map(|pool| pool.pack(precision)),
            ..self
        }
    }

    /// The patches of pictures, or of each tile of pictures by itself.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let layout = tokens.layout;
        if let Layout::Frames { time, height, width } = layout {
            return self.each(tokens, [time, height, width], pass);
        }
        let [batch, patches, width] = tokens.embeddings.dims();
        let mut x = self.placed(tokens.embeddings, layout);
        if let Some(norm) = &self.norm_before {
            x = norm.forward(x);
        }
        let length = x.dims()[1];
        let mask = Tensor::<2>::ones([batch, length], &plain(&x.device())).bool();
        for block in &self.blocks {
            x = block.forward(x, &mask, &Order::default(), pass);
        }
        if self.config.summary != Summary::NormalizedClass {
            x = self.norm.forward(x);
        }
        let first = || x.clone().narrow(1, 0, 1).reshape([batch, width]);
        let summary = match (&self.pool, self.config.summary) {
            (Some(pool), _) => Some(pool.forward(x.clone())),
            (None, Summary::Mean) => None,
            (None, Summary::NormalizedClass) => Some(self.norm.forward(first())),
            (None, _) => Some(first()),
        };
        let tokens = match self.config.summary {
            Summary::KeptClass => Tokens::full(x, Layout::Sequence),
            _ => Tokens::full(x.narrow(1, length - patches, patches), layout),
        };
        match summary {
            Some(summary) => tokens.with_summary(summary),
            None => tokens,
        }
    }

    /// The patches of `tiles` planes, each by itself; their summary is the mean of all real ones.
    fn each(&self, tokens: Tokens, [tiles, height, width]: [usize; 3], pass: &Pass) -> Tokens {
        let [batch, _, channels] = tokens.embeddings.dims();
        let places = height * width;
        let mask = tokens.frame_mask(places);
        let planes = tokens.embeddings.reshape([batch * tiles, places, channels]);
        let read = |planes: Tensor<3>| {
            let planes = Tokens::full(planes, Layout::Grid { height, width });
            self.forward(planes, pass).embeddings
        };
        let planes = planes.split(AT_ONCE, 0).into_iter().map(read).collect();
        let embeddings = Tensor::cat(planes, 0).reshape([batch, tiles * places, channels]);
        Tokens::frames(embeddings, &mask, [height, width])
    }

    /// The patches `x` [batch, patches, width] with their places, behind the other tokens.
    fn placed(&self, x: Tensor<3>, layout: Layout) -> Tensor<3> {
        let [batch, _, width] = x.dims();
        let places = self.places.val();
        let classes = self.config.classes();
        let of_patches = places.clone().narrow(0, classes, places.dims()[0] - classes);
        let grid = match layout {
            Layout::Grid { height, width } => [height, width],
            _ => self.config.grid,
        };
        let of_patches = resampled(of_patches, self.config.grid, grid, self.config.resampling);
        let x = x + of_patches.unsqueeze::<3>();
        let class = self.class.as_ref().map(|class| {
            let place = places.narrow(0, 0, 1);
            class.val().unsqueeze::<2>() + place
        });
        let registers = self.registers.as_ref().map(Param::val);
        let others: Vec<Tensor<2>> = class.into_iter().chain(registers).collect();
        if others.is_empty() {
            return x;
        }
        let others = Tensor::cat(others, 0);
        let count = others.dims()[0];
        let others = others.unsqueeze::<3>().expand([batch, count, width]);
        Tensor::cat(vec![others, x], 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use crate::parameters::{gradients, parameters};
    use burn::tensor::Device;
    use serde_json::json;

    const WIDTH: usize = 8;

    /// Numbers that follow no plane.
    fn noise<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|at: usize| (at as f32 * 1.7).sin())
            .collect();
        Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape)
    }

    fn check(summary: &str) {
        let config = json!({
            "width": WIDTH, "layers": 2, "heads": 2, "hidden": 12, "epsilon": 1e-5, "grid": [3, 2], "registers": 1,
            "norm_before": true, "layer_scale": true, "summary": summary
        });
        let config = serde_json::from_value(config).unwrap();
        let device = Device::flex().autodiff();
        let space = Space::Plane { height: 2, width: 2 };
        let trunk = VitTrunk::new(&config, WIDTH, space, &Init::new(1, &device)).unwrap();
        let patches = noise([3, 4, WIDTH], &device);
        let tokens = trunk.forward(
            Tokens::full(patches, Layout::Grid { height: 2, width: 2 }),
            &Pass::evaluation(),
        );
        let length = if summary == "kept_class" { 6 } else { 4 };
        assert_eq!(tokens.embeddings.dims(), [3, length, WIDTH], "{summary}");
        let pooled = tokens.summary.expect("a summary");
        let loss = (tokens.embeddings * noise([3, length, WIDTH], &device)).sum()
            + (pooled * noise([3, WIDTH], &device)).sum();
        let found = gradients(&trunk, &mut loss.backward());
        for path in parameters(&trunk).into_keys() {
            let gradient = found
                .get(&path)
                .unwrap_or_else(|| panic!("{summary}: no gradient reaches {path}"));
            // A key's bias shifts all scores of a query alike, which softmax does not see.
            let moves = to_vec(gradient.clone()).iter().any(|value| *value != 0.0);
            assert!(moves || path.ends_with("key.bias"), "{summary}: {path}");
        }
    }

    #[test]
    fn the_gradient_reaches_every_parameter_of_each_summary() {
        ["class", "normalized_class", "kept_class", "attention"]
            .into_iter()
            .for_each(check);
    }
}
