//! Sounds: a file or an upload becomes samples of one rate, then frames of features.

mod augment;
mod codec;
pub(crate) mod complete;
mod condition;
mod config;
mod decode;
mod filters;
#[cfg(test)]
mod hostile;
mod mask;
mod opus;
mod probe;
mod processor;
mod recording;
mod resample;
mod spectrum;
mod wave;
mod waveform;

pub use augment::{WaveAugment, augment};
pub use config::{AudioAugment, AudioConfig, Channels};
pub use decode::decode;
pub use filters::{Filter, apply};
pub use mask::SpectrumAugment;
pub use processor::{AudioFeature, AudioProcessor};
pub use recording::Recording;
pub use resample::resample;
pub use spectrum::{
    AudioFeatures, FilterBankConfig, KaldiFrames, LogMelConfig, MfccConfig, Normalize, Spectrogram, WaveformConfig,
    Window,
};
pub use waveform::Waveform;

/// What the tests of this folder share: the golden files and what is in them.
#[cfg(test)]
mod samples {
    /// Name, rate, channels, samples per channel.
    pub const LOSSLESS: [(&str, u32, usize, usize); 18] = [
        ("u8.wav", 8000, 1, 500),
        ("s16.wav", 16_000, 2, 500),
        ("s24.wav", 48_000, 1, 500),
        ("s32.wav", 44_100, 1, 500),
        ("f32.wav", 44_100, 1, 500),
        ("f64.wav", 44_100, 1, 500),
        ("a_law.wav", 8000, 1, 500),
        ("mu_law.wav", 8000, 2, 500),
        ("six.wav", 16_000, 6, 200),
        ("rf64.wav", 16_000, 1, 500),
        ("ms.wav", 16_000, 1, 1000),
        ("ima.wav", 16_000, 2, 996),
        ("s16.flac", 16_000, 2, 700),
        ("s24.flac", 48_000, 1, 600),
        ("flac.ogg", 16_000, 1, 700),
        ("alac.m4a", 16_000, 2, 700),
        ("pcm.mkv", 16_000, 1, 500),
        ("flac.mka", 16_000, 1, 700),
    ];

    /// Name, rate, channels, samples per channel.
    pub const LOSSY: [(&str, u32, usize, usize); 16] = [
        ("stereo.mp3", 44_100, 2, 6000),
        ("variable.mp3", 16_000, 1, 5000),
        ("bare.mp3", 16_000, 1, 6336),
        ("stereo.ogg", 44_100, 2, 6000),
        ("mono.ogg", 16_000, 1, 5000),
        ("speech.opus", 48_000, 1, 15_000),
        ("music.opus", 48_000, 2, 9000),
        ("quad.opus", 48_000, 4, 3000),
        ("mono.aac", 16_000, 1, 6144),
        ("stereo.m4a", 44_100, 2, 6000),
        ("fragmented.mp4", 16_000, 1, 6144),
        ("opus.mp4", 48_000, 1, 6000),
        ("opus.webm", 48_000, 1, 6000),
        ("vorbis.webm", 44_100, 1, 6720),
        ("aac.mkv", 16_000, 1, 6144),
        ("mp3.mka", 16_000, 1, 6105),
    ];

    pub fn golden(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/audio");
        std::fs::read(folder.join(name)).unwrap()
    }
}
