//! A baseline JPEG encoder (ITU-T T.81), so that inputs of benchmarks are the same bytes everywhere.

use std::array::from_fn;

/// Samples along a side of a block.
const SIDE: usize = 8;
/// Pixels along a side of four luminance blocks and the two chrominance blocks that belong to them.
const UNIT: usize = 2 * SIDE;

/// How many codes have 1, 2, … 16 bits: tables K.3 and K.5 of the standard, for luminance and chrominance alike.
const DC_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const AC_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D];
const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
#[rustfmt::skip]
const AC_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
    0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];

type Block = [[f32; SIDE]; SIDE];

/// The picture whose pixel at (row, column) is `rgb(row, column)`, each channel from 0 to 255, with chrominance at half
/// the resolution, as cameras write it, and coarseness near that of quality 75.
///
/// # Panics
/// When a side is not a multiple of 16 below 65,536.
pub fn encode(height: usize, width: usize, rgb: impl Fn(usize, usize) -> [f32; 3]) -> Vec<u8> {
    let fits = |side: usize| side > 0 && side.is_multiple_of(UNIT) && side <= usize::from(u16::MAX);
    assert!(
        fits(height) && fits(width),
        "{height}×{width} pixels do not fill units of {UNIT}×{UNIT}"
    );
    let mut scan = Scan::new();
    for top in (0..height).step_by(UNIT) {
        for left in (0..width).step_by(UNIT) {
            scan.unit(|row, column| luma_chroma(rgb(top + row, left + column)));
        }
    }
    [header(height, width), scan.finish(), vec![0xFF, 0xD9]].concat()
}

/// Y, Cb and Cr around zero (JFIF 1.02).
fn luma_chroma([red, green, blue]: [f32; 3]) -> [f32; 3] {
    let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
    [luma - 128.0, (blue - luma) / 1.772, (red - luma) / 1.402]
}

fn header(height: usize, width: usize) -> Vec<u8> {
    let [[high, low], [wide, narrow]] = [height, width].map(|side| (side as u16).to_be_bytes());
    let steps = zigzag().map(|(row, column)| step(row, column) as u8);
    let segment = |marker: u8, parts: &[&[u8]]| {
        let content = parts.concat();
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xFF, marker], &length[..], &content].concat()
    };
    [
        vec![0xFF, 0xD8],
        segment(0xDB, &[&[0], &steps]),
        segment(
            0xC0,
            &[&[8, high, low, wide, narrow, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]],
        ),
        segment(
            0xC4,
            &[&[0x00], &DC_COUNTS, &DC_SYMBOLS, &[0x10], &AC_COUNTS, &AC_SYMBOLS],
        ),
        segment(0xDA, &[&[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]]),
    ]
    .concat()
}

/// The quantisation step: coarser for finer detail.
fn step(row: usize, column: usize) -> f32 {
    (6 + 3 * (row + column)) as f32
}

/// (row, column) by position in the order of growing frequency.
fn zigzag() -> [(usize, usize); SIDE * SIDE] {
    let mut order = from_fn(|index| (index / SIDE, index % SIDE));
    order.sort_by_key(|&(row, column)| {
        let diagonal = row + column;
        (diagonal, if diagonal % 2 == 1 { row } else { column })
    });
    order
}

/// The bits of every symbol and their number.
fn codes(counts: &[u8], symbols: &[u8]) -> [(u32, u32); 256] {
    let mut table = [(0, 0); 256];
    let (mut code, mut symbols) = (0, symbols.iter());
    for (&count, length) in counts.iter().zip(1..) {
        for &symbol in symbols.by_ref().take(count.into()) {
            table[usize::from(symbol)] = (code, length);
            code += 1;
        }
        code <<= 1;
    }
    table
}

/// The entropy-coded data.
struct Scan {
    bytes: Vec<u8>,
    pending: u64,
    pending_bits: u32,
    dc_codes: [(u32, u32); 256],
    ac_codes: [(u32, u32); 256],
    order: [(usize, usize); SIDE * SIDE],
    /// The discrete cosine transform, [frequency][sample].
    cosines: Block,
    /// The last mean of each component.
    previous: [i32; 3],
}

impl Scan {
    fn new() -> Self {
        let cosine = |frequency: usize, sample: usize| {
            let angle = ((2 * sample + 1) * frequency) as f32 * std::f32::consts::PI / 16.0;
            angle.cos() * if frequency == 0 { 0.125f32.sqrt() } else { 0.5 }
        };
        Self {
            bytes: Vec::new(),
            pending: 0,
            pending_bits: 0,
            dc_codes: codes(&DC_COUNTS, &DC_SYMBOLS),
            ac_codes: codes(&AC_COUNTS, &AC_SYMBOLS),
            order: zigzag(),
            cosines: from_fn(|frequency| from_fn(|sample| cosine(frequency, sample))),
            previous: [0; 3],
        }
    }

    /// Writes 16×16 pixels, given as Y, Cb and Cr.
    fn unit(&mut self, pixel: impl Fn(usize, usize) -> [f32; 3]) {
        for (top, left) in [(0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)] {
            self.block(0, &from_fn(|row| from_fn(|column| pixel(top + row, left + column)[0])));
        }
        for component in [1, 2] {
            let mean = |row: usize, column: usize| {
                let four = [(0, 0), (0, 1), (1, 0), (1, 1)];
                four.map(|(down, right)| pixel(2 * row + down, 2 * column + right)[component])
                    .iter()
                    .sum::<f32>()
                    / 4.0
            };
            self.block(component, &from_fn(|row| from_fn(|column| mean(row, column))));
        }
    }

    fn block(&mut self, component: usize, samples: &Block) {
        let cosines = &self.cosines;
        let dot = |a: &[f32; SIDE], b: &[f32; SIDE]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let rows: Block = from_fn(|v| from_fn(|row| dot(&cosines[v], &samples[row])));
        let levels = self
            .order
            .map(|(u, v)| (dot(&cosines[u], &rows[v]) / step(u, v)).round() as i32);
        let difference = levels[0] - std::mem::replace(&mut self.previous[component], levels[0]);
        self.number(self.dc_codes, 0, difference);
        let mut zeros = 0;
        for &level in &levels[1..] {
            if level == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.symbol(self.ac_codes, 0xF0);
                zeros -= 16;
            }
            self.number(self.ac_codes, zeros, level);
            zeros = 0;
        }
        if zeros > 0 {
            self.symbol(self.ac_codes, 0);
        }
    }

    /// A number after `zeros` zeros: the symbol of both, then the number's bits, those of its complement if negative.
    fn number(&mut self, codes: [(u32, u32); 256], zeros: usize, number: i32) {
        let bits = 32 - number.unsigned_abs().leading_zeros();
        self.symbol(codes, zeros << 4 | bits as usize);
        let value = if number < 0 { number - 1 } else { number };
        self.put(value as u32 & ((1 << bits) - 1), bits);
    }

    fn symbol(&mut self, codes: [(u32, u32); 256], symbol: usize) {
        let (code, length) = codes[symbol];
        self.put(code, length);
    }

    fn put(&mut self, bits: u32, count: u32) {
        self.pending = self.pending << count | u64::from(bits);
        self.pending_bits += count;
        while self.pending_bits >= 8 {
            self.pending_bits -= 8;
            let byte = (self.pending >> self.pending_bits) as u8;
            self.bytes.push(byte);
            // A byte of ones would begin a marker.
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.put(0x7F, 7);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::processors::{Feature, ImageConfig, Size};
    use sensorium_data::{Processor, ProcessorConfig, Value};
    use std::path::Path;

    #[test]
    fn the_product_decodes_what_was_encoded() {
        let rgb = |row: usize, column: usize| [row as f32 * 4.0, column as f32 * 5.0, 128.0 + (row / 8) as f32];
        let config = ImageConfig {
            size: Size::new(32, 48),
            ..ImageConfig::default()
        };
        let processor = Processor::fit(&ProcessorConfig::Image(config), &[]).unwrap();
        let value = Value::Bytes(encode(32, 48, rgb).into());
        let Feature::Image(picture) = processor.prepare(&value, Path::new("")).unwrap() else {
            panic!("not a picture");
        };
        for (index, pixel) in picture.pixels.chunks(3).enumerate() {
            for (found, expected) in pixel.iter().zip(rgb(index / 48, index % 48)) {
                assert!(
                    (f32::from(*found) - expected).abs() < 16.0,
                    "{index}: {found} is not {expected}"
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "17×16 pixels do not fill units of 16×16")]
    fn broken_units_are_refused() {
        encode(17, 16, |_, _| [0.0; 3]);
    }
}
