//! What configurations of `transformers` say of pictures, and what they call the layers of blocks.

use sensorium_data::processors::ImageConfig;
use serde::Deserialize;

/// The largest side of a picture, in pixels.
const LARGEST: usize = 4096;
/// The largest side of a patch.
const LARGEST_PATCH: usize = 256;
const COLORS: usize = 3;

/// One side of a square, or a height and a width.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels, or [height, width]")]
pub enum Sides {
    One(usize),
    Two([usize; 2]),
}

impl Sides {
    fn both(self) -> [usize; 2] {
        match self {
            Self::One(side) => [side; 2],
            Self::Two(sides) => sides,
        }
    }
}

/// The size of pictures, [height, width], and the side of the patches that they are cut into.
#[derive(Debug, Clone, Copy)]
pub struct Pictures {
    pub size: [usize; 2],
    pub patch: usize,
}

impl Pictures {
    /// `part` is what the names begin with.
    ///
    /// # Errors
    /// For sizes that do not fit, and for other colours than three.
    pub fn new(part: &str, image_size: Sides, patch_size: Sides, channels: usize) -> Result<Self, String> {
        let (size, [patch, other]) = (image_size.both(), patch_size.both());
        if patch != other || !(1..=LARGEST_PATCH).contains(&patch) {
            return Err(format!(
                "{part}patch_size: expected a square of 1 to {LARGEST_PATCH} pixels, found {patch}×{other}"
            ));
        }
        if size.iter().any(|side| !(patch..=LARGEST).contains(side)) {
            let [height, width] = size;
            return Err(format!(
                "{part}image_size: expected {patch}, which is the patch_size, to {LARGEST} pixels, found {height}×{width}"
            ));
        }
        match channels {
            COLORS => Ok(Self { size, patch }),
            _ => Err(format!("{part}num_channels: expected {COLORS}, found {channels}")),
        }
    }

    /// The rows and columns of whole patches.
    pub fn grid(self) -> [usize; 2] {
        self.size.map(|side| side / self.patch)
    }

    /// The numbers that the projection of patches of `width` holds, without its bias.
    pub fn parameters(self, width: usize) -> u128 {
        ((COLORS * self.patch * self.patch) as u128).saturating_mul(width as u128)
    }

    /// # Errors
    /// For a processor that makes pictures of another size.
    pub fn check(self, processor: &ImageConfig) -> Result<(), String> {
        let (found, [height, width]) = (processor.size, self.size);
        match [found.height(), found.width()] == self.size {
            true => Ok(()),
            false => Err(format!(
                "preprocessor_config.json: expected pictures of {height}×{width}, which is the image_size of config.json, found \
                 {}×{}",
                found.height(),
                found.width()
            )),
        }
    }
}

/// The layers of a block in ViT and, with other norms and feed-forward networks, in DINOv2.
pub const VIT_LAYERS: [(&str, &str); 14] = [
    ("attention.attention.query", "attention.query"),
    ("attention.attention.key", "attention.key"),
    ("attention.attention.value", "attention.value"),
    ("attention.output.dense", "attention.output"),
    ("layernorm_before", "attention_norm"),
    ("layernorm_after", "feed_forward_norm"),
    ("intermediate.dense", "expand"),
    ("output.dense", "contract"),
    ("norm1", "attention_norm"),
    ("norm2", "feed_forward_norm"),
    ("mlp.fc1", "expand"),
    ("mlp.fc2", "contract"),
    ("layer_scale1", "attention_scale"),
    ("layer_scale2", "feed_forward_scale"),
];

/// The layers of a block in CLIP and SigLIP.
pub const CLIP_LAYERS: [(&str, &str); 8] = [
    ("self_attn.q_proj", "attention.query"),
    ("self_attn.k_proj", "attention.key"),
    ("self_attn.v_proj", "attention.value"),
    ("self_attn.out_proj", "attention.output"),
    ("layer_norm1", "attention_norm"),
    ("layer_norm2", "feed_forward_norm"),
    ("mlp.fc1", "expand"),
    ("mlp.fc2", "contract"),
];

/// The path of a tensor of a block, whose name from the block's number on is `rest`; none where there is no such layer.
pub fn in_block(rest: &str, layers: &[(&str, &str)]) -> Option<String> {
    let (index, rest) = rest.split_once('.')?;
    let (layer, parameter) = rest.rsplit_once('.')?;
    let (_, ours) = layers.iter().find(|(theirs, _)| *theirs == layer)?;
    if !index.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(match parameter {
        // A scale is one tensor, and no layer.
        "lambda1" => format!("trunk.blocks.{index}.{ours}"),
        _ => format!("trunk.blocks.{index}.{ours}.{parameter}"),
    })
}
