//! wav2vec 2.0 (Baevski et al. 2020) and HuBERT (Hsu et al. 2021), as `transformers` names and configures them: convolutions over
//! raw samples, a Transformer behind them, and a head of letters where the checkpoint has one.

mod names;
mod public;
mod stem;
mod trunk;
mod vocabulary;

pub use public::TranscriptHead;
pub(super) use public::{KINDS, read};
pub use stem::{Wav2Vec2Stem, Wav2Vec2StemConfig};
pub use trunk::{Wav2Vec2Trunk, Wav2Vec2TrunkConfig};
pub(super) use vocabulary::VOCABULARY;
