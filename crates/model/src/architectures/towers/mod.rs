//! The towers that ViT, DINOv2, CLIP and SigLIP are made of: pre-norm Transformers over patches of pictures and over texts.

mod blocks;
mod pair;
mod patches;
mod picture;
mod places;
mod pool;
mod public;
mod text;
mod words;

pub(super) use blocks::Block;
pub use blocks::BlocksConfig;
pub(super) use pair::Pair;
pub use patches::{VitStem, VitStemConfig};
pub use picture::{Summary, VitTrunk, VitTrunkConfig};
pub use places::Resampling;
pub(super) use public::{CLIP_LAYERS, Pictures, Sides, VIT_LAYERS, in_block};
pub use text::{ClipTrunk, ClipTrunkConfig};
pub use words::{ClipStem, ClipStemConfig};
