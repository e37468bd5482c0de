//! The command line from outside: contracts, bad input, determinism and kills, each through the real program.

mod bad_input;
mod bad_runs;
mod chat;
mod checkpoints;
mod checks;
mod contract;
mod export;
mod fixture;
mod held;
mod import;
mod import_captions;
mod import_labels;
mod import_pictures;
mod kills;
mod language;
mod layers;
mod llava;
mod pretrained;
mod qwen2_audio;
mod recipes;
mod retrieval;
mod smolvlm;
mod t5;
mod tidy;
mod transcribe;
mod wav2vec2;
