//! Sounds that say what the pictures of bars show.

/// A recording (WAV, 8 kHz, 16 bit) of one tone for the colour and one for the posture, of so many samples each.
pub fn tones(color: usize, lying: bool, samples: u32) -> Vec<u8> {
    let pitches = [[300.0, 700.0, 1500.0][color], if lying { 500.0 } else { 2200.0 }];
    let samples = pitches.iter().flat_map(|pitch| {
        (0..samples).map(move |at| (f64::from(at) / 8000.0 * pitch * std::f64::consts::TAU).sin() * 12_000.0)
    });
    let data: Vec<u8> = samples.flat_map(|sample| (sample as i16).to_le_bytes()).collect();
    let size = data.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend([8000u32, 16_000].map(u32::to_le_bytes).concat());
    file.extend(b"\x02\0\x10\0data");
    file.extend(size.to_le_bytes());
    [file, data].concat()
}
