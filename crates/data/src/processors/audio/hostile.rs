//! Cut, zeroed and forged sounds are refused where the format allows it.

use super::decode;
use super::samples::{LOSSLESS, LOSSY, golden};
use crate::ErrorKind;

fn names() -> impl Iterator<Item = &'static str> {
    let lossy = LOSSY.iter().map(|&(name, ..)| name);
    LOSSLESS.iter().map(|&(name, ..)| name).chain(lossy)
}

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
