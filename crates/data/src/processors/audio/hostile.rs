//! Cut, zeroed, forged and mutated sounds: refused where the format allows it, and never a panic,
//! an endless loop or memory without bound.

use super::complete::ogg::seal;
use super::decode;
use super::samples::{LOSSLESS, LOSSY, golden};
use crate::ErrorKind;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::{Duration, Instant};

fn names() -> impl Iterator<Item = &'static str> {
    let lossy = LOSSY.iter().map(|&(name, ..)| name);
    LOSSLESS.iter().map(|&(name, ..)| name).chain(lossy)
}

/// The files of each container, by the ends of their names.
const FORMATS: [&[&str]; 7] = [
    &[".wav"],
    &[".flac"],
    &[".mp3"],
    &[".aac"],
    &[".ogg", ".opus"],
    &[".m4a", ".mp4"],
    &[".mkv", ".mka", ".webm"],
];

/// Kinds that are a chain of frames without a header for all: a cut between two frames is a shorter
/// sound.
const CHAINS: [&str; 3] = ["bare.mp3", "mono.aac", "fragmented.mp4"];

fn check_damaged(name: &str, bytes: &[u8], what: &str) {
    let found = decode(bytes).map(|waveform| waveform.length());
    assert_eq!(
        found.map_err(|error| error.kind),
        Err(ErrorKind::Damaged),
        "{name}: {what}"
    );
}

#[test]
fn every_cut_is_damaged() {
    for name in names() {
        let bytes = golden(name);
        let lengths = (0..bytes.len()).filter(|length| *length < 200 || length % 3 == 0 || *length == bytes.len() - 1);
        let unnoticed = lengths.filter(|&length| decode(&bytes[..length]).is_ok()).count();
        let allowed = if CHAINS.contains(&name) { bytes.len() / 90 } else { 0 };
        assert!(unnoticed <= allowed, "{name}: {unnoticed} cuts go unnoticed");
        check_damaged(name, &bytes[..bytes.len() / 2], "half of it");
    }
}

#[test]
fn a_zeroed_middle_is_damaged() {
    // Zeros are as good as other samples where these are stored plainly, and FLAC has sums of its own.
    let plain =
        |name: &&str| name.ends_with(".wav") || name.ends_with(".flac") || ["pcm.mkv", "alac.m4a"].contains(name);
    for name in names().filter(|name| !plain(name)) {
        let mut bytes = golden(name);
        let third = bytes.len() / 3;
        bytes[third..2 * third].fill(0);
        check_damaged(name, &bytes, "zeros in the middle");
    }
}

#[test]
fn a_flipped_bit_under_a_sum_is_damaged() {
    for (name, sound) in [
        ("s16.flac", 1500),
        ("s24.flac", 900),
        ("flac.ogg", 2900),
        ("stereo.ogg", 4700),
        ("music.opus", 3500),
    ] {
        let bytes = golden(name);
        for at in (bytes.len() - sound..bytes.len()).step_by(7) {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            check_damaged(name, &altered, &format!("a bit at byte {at}"));
        }
    }
}

#[test]
fn a_damage_is_found_where_it_is() {
    let check = |name: &str, change: fn(&mut Vec<u8>), offset: u64| {
        let mut bytes = golden(name);
        change(&mut bytes);
        assert_eq!(decode(&bytes).unwrap_err().offset, Some(offset), "{name}");
    };
    check("s16.wav", |bytes| bytes.truncate(1000), 1000);
    check(
        "f32.wav",
        |bytes| bytes[80..84].copy_from_slice(&f32::NAN.to_le_bytes()),
        80,
    );
    check("bare.mp3", |bytes| bytes[540] = 0, 540);
    check("mono.ogg", |bytes| bytes[40] ^= 1, 0);
    check("mono.aac", |bytes| bytes.truncate(bytes.len() - 1), 1466);
}

#[test]
fn forged_headers_are_refused_before_memory_is_taken() {
    let check = |name: &str, at: usize, value: &[u8], kind: ErrorKind| {
        let mut bytes = golden(name);
        bytes[at..at + value.len()].copy_from_slice(value);
        assert_eq!(decode(&bytes).unwrap_err().kind, kind, "{name} at {at}");
    };
    // Channels, rate and data length of a WAV.
    check("s16.wav", 22, &0_u16.to_le_bytes(), ErrorKind::Damaged);
    check("u8.wav", 22, &500_u16.to_le_bytes(), ErrorKind::TooLarge);
    check("s16.wav", 24, &0_u32.to_le_bytes(), ErrorKind::TooLarge);
    check("s16.wav", 24, &1_000_000_u32.to_le_bytes(), ErrorKind::TooLarge);
    check("s16.wav", 40, &0x7fff_ffff_u32.to_le_bytes(), ErrorKind::Damaged);
    // The number of samples of a FLAC, and its digest.
    check("s16.flac", 22, &[0xff; 4], ErrorKind::Damaged);
    check("s16.flac", 26, &[0x55; 16], ErrorKind::Damaged);
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let check = |bytes: &[u8], kind: ErrorKind, words: &str| {
        let error = decode(bytes).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(b"", ErrorKind::Damaged, "empty file of 0 bytes");
    check(
        b"\x89PNG\r\n\x1a\n",
        ErrorKind::Damaged,
        "found bytes that start with 89 50 4e 47",
    );
    check(b"RIFF\xff\0\0\0AVI LIST", ErrorKind::Unsupported, "found AVI");
    let mut g723 = golden("s16.wav");
    g723[20] = 0x42;
    check(&g723, ErrorKind::Unsupported, "found format 66 of 16 bits");
}

/// One change of an input.
#[derive(Debug, Clone)]
enum Mutation {
    Flip {
        at: usize,
        bits: u8,
    },
    /// A number of one, two, four or eight bytes becomes an extreme one.
    Forge {
        at: usize,
        width: usize,
        value: u64,
    },
    Cut(usize),
    Remove {
        at: usize,
        length: usize,
    },
    Zero {
        at: usize,
        length: usize,
    },
    /// Bytes from another place, or another file, over these.
    Splice {
        file: usize,
        from: usize,
        to: usize,
        length: usize,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Half of all places lie in the headers.
    let place = || prop_oneof![0..200_usize, any::<usize>()];
    let extreme = prop_oneof![
        Just(0),
        Just(1),
        Just(0x7f),
        Just(u64::MAX),
        Just(u64::MAX >> 1),
        Just(1 << 31),
        any::<u64>()
    ];
    prop_oneof![
        4 => (place(), 1..=255_u8).prop_map(|(at, bits)| Mutation::Flip { at, bits }),
        4 => (place(), 0..4_u32, extreme).prop_map(|(at, width, value)| Mutation::Forge { at, width: 1 << width, value }),
        1 => any::<usize>().prop_map(Mutation::Cut),
        1 => (place(), 1..600_usize).prop_map(|(at, length)| Mutation::Remove { at, length }),
        1 => (place(), 1..600_usize).prop_map(|(at, length)| Mutation::Zero { at, length }),
        1 => (0..LOSSLESS.len(), place(), place(), 1..600_usize)
            .prop_map(|(file, from, to, length)| Mutation::Splice { file, from, to, length }),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let length = bytes.len().max(1);
    let range = |at: usize, width: usize| at % length..(at % length + width).min(bytes.len());
    match *mutation {
        _ if bytes.is_empty() => {}
        Mutation::Flip { at, bits } => bytes[at % length] ^= bits,
        Mutation::Forge { at, width, value } => {
            let range = range(at, width);
            let count = range.len();
            bytes[range].copy_from_slice(&value.to_be_bytes()[..count]);
        }
        Mutation::Cut(at) => bytes.truncate(at % length),
        Mutation::Remove { at, length } => drop(bytes.drain(range(at, length))),
        Mutation::Zero { at, length } => {
            let range = range(at, length);
            bytes[range].fill(0);
        }
        Mutation::Splice { file, from, to, length } => {
            let other = golden(LOSSLESS[file].0);
            let piece: Vec<u8> = other.into_iter().skip(from % 3000).take(length).collect();
            let range = range(to, piece.len());
            let count = range.len();
            bytes[range].copy_from_slice(&piece[..count]);
        }
    }
}

/// Makes the sums of Ogg pages right again, so that what lies below them is read.
fn reseal(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(&segments) = bytes.get(at + 26).filter(|_| bytes[at..].starts_with(b"OggS")) {
        let lengths = bytes.get(at + 27..at + 27 + usize::from(segments)).unwrap_or_default();
        let end = at + 27 + lengths.len() + lengths.iter().map(|&length| usize::from(length)).sum::<usize>();
        if end > bytes.len() {
            return;
        }
        seal(&mut bytes[at..end]);
        at = end;
    }
}

/// Inputs per format: 2,000, or what the environment says.
fn cases() -> u32 {
    let written = std::env::var("SENSORIUM_FUZZ_CASES").ok();
    written.map_or(2000, |cases| cases.parse().expect("SENSORIUM_FUZZ_CASES is a number"))
}

#[test]
fn no_mutation_breaks_a_decoder() {
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    };
    let mutations = prop::collection::vec(mutation(), 1..4);
    for endings in FORMATS {
        let is_of = |name: &str| endings.iter().any(|ending| name.ends_with(ending));
        let files: Vec<Vec<u8>> = names().filter(|name| is_of(name)).map(golden).collect();
        let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let outcome = runner.run(
            &(0..files.len(), &mutations, any::<bool>()),
            |(file, mutations, sealed)| {
                let mut bytes = files[file].clone();
                mutations.iter().for_each(|mutation| apply(&mut bytes, mutation));
                if sealed {
                    reseal(&mut bytes);
                }
                let start = Instant::now();
                if let Ok(waveform) = decode(&bytes) {
                    prop_assert!(
                        waveform
                            .channels
                            .iter()
                            .all(|channel| channel.len() == waveform.length())
                    );
                    prop_assert!(waveform.length() * waveform.channels.len() <= 70_000 * bytes.len());
                }
                prop_assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
                Ok(())
            },
        );
        outcome.unwrap_or_else(|error| panic!("{endings:?}: {error}"));
    }
}
