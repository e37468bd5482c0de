//! The bits of a stretch of entropy-coded data, the most significant first (ITU-T T.81, F.2.2.5).

use super::huffman::Code;

/// What a decoder may read beyond the end before it looks whether it is there, in bytes.
const PADDING: usize = 16;

/// The bits between two markers. Beyond their end come zeros, which [`overrun`](Bits::overrun) tells.
#[derive(Debug, Default)]
pub struct Bits {
    /// The data without its stuffed bytes, and a padding of zeros.
    bytes: Vec<u8>,
    /// Bytes that the buffer has taken up.
    at: usize,
    /// The next bits, at the top.
    buffer: u64,
    /// Bits of the buffer that count, in the lowest six bits.
    count: u32,
}

impl Bits {
    /// Begins with the data from `start` up to the next marker or the end, and returns where that is.
    pub fn load(&mut self, source: &[u8], start: usize) -> usize {
        self.bytes.clear();
        let mut at = start;
        while let Some(&byte) = source.get(at) {
            if let Some(word) = plain_word(&source[at..]) {
                self.bytes.extend_from_slice(word);
                at += word.len();
                continue;
            }
            match (byte, source.get(at + 1)) {
                (0xff, Some(0)) => at += 2,
                // A fill byte belongs to the marker behind it.
                (0xff, _) => break,
                _ => at += 1,
            }
            self.bytes.push(byte);
        }
        self.bytes.extend([0; PADDING]);
        (self.at, self.buffer, self.count) = (0, 0, 0);
        at
    }

    /// At least 56 bits of the buffer count afterwards, more than a code and its magnitude take. Done for every code:
    /// whether it is needed is hard to predict, and costs more than doing it.
    #[inline(always)]
    pub fn fill(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let word = rest.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
        // Bits below the count are taken up again by the next filling, which finds them equal.
        self.buffer |= word.wrapping_shr(self.count);
        self.at += (!self.count >> 3 & 7) as usize;
        self.count |= 56;
    }

    /// The next bits, at the top.
    #[inline(always)]
    pub fn buffer(&self) -> u64 {
        self.buffer
    }

    /// Passes over bits that count, as many as the lowest six bits say.
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// Passes over a code and its magnitude bits, and gives the number they stand for (T.81, F.12); zero where
    /// there are none.
    #[inline(always)]
    pub fn number(&mut self, code: Code) -> i32 {
        let magnitude = self.buffer.wrapping_shl(code.length());
        let size = code.size();
        let value = (magnitude >> 1).wrapping_shr(63 - size) as i32;
        // A first bit of zero says that the number is negative.
        let negative = !((magnitude as i64) >> 63) as i32;
        self.skip(code.bits());
        value + (negative & (1 - 1i32.wrapping_shl(size)))
    }

    /// The next bits, at most sixteen, as a number.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        self.fill();
        let value = (self.buffer >> 1 >> (63 - count)) as u32;
        self.skip(count);
        value
    }

    /// Whether more bits were read than there are.
    pub fn overrun(&self) -> bool {
        self.read() > 8 * self.length()
    }

    /// Whole bytes that were not read.
    pub fn unread(&self) -> usize {
        (8 * self.length()).saturating_sub(self.read()) / 8
    }

    /// Where reading has come to in `source`, of which the data from `start` were loaded.
    pub fn offset(&self, source: &[u8], start: usize) -> usize {
        let mut at = start;
        for _ in 0..(self.read() / 8).min(self.length()) {
            at += if source[at..].starts_with(&[0xff, 0]) { 2 } else { 1 };
        }
        at
    }

    fn read(&self) -> usize {
        8 * self.at - (self.count & 63) as usize
    }

    fn length(&self) -> usize {
        self.bytes.len().saturating_sub(PADDING)
    }
}

/// The next eight bytes, unless one of them is 0xff or there are fewer.
#[inline(always)]
fn plain_word(bytes: &[u8]) -> Option<&[u8; 8]> {
    let word = bytes.first_chunk::<8>()?;
    let inverse = !u64::from_ne_bytes(*word);
    // A byte of zero is the only one that borrows from its top bit without having had it.
    let zeros = inverse.wrapping_sub(0x0101_0101_0101_0101) & !inverse & 0x8080_8080_8080_8080;
    (zeros == 0).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_loaded(source: &[u8], expected: &[u8], end: usize) {
        let mut bits = Bits::default();
        assert_eq!(bits.load(source, 1), end, "{source:?}");
        assert_eq!(bits.length(), expected.len(), "{source:?}");
        for (index, &byte) in expected.iter().enumerate() {
            assert_eq!(bits.offset(source, 1), 1 + stuffed(&expected[..index]));
            assert_eq!(bits.take(8), u32::from(byte), "{source:?}");
        }
        assert!(!bits.overrun() && bits.unread() == 0);
        assert_eq!(bits.take(16), 0);
        assert!(bits.overrun());
    }

    /// Bytes that data take in a file.
    fn stuffed(data: &[u8]) -> usize {
        data.len() + data.iter().filter(|&&byte| byte == 0xff).count()
    }

    #[test]
    fn stuffed_bytes_are_removed_up_to_the_next_marker() {
        check_loaded(&[9], &[], 1);
        check_loaded(&[9, 1, 2, 3], &[1, 2, 3], 4);
        check_loaded(&[9, 1, 0xff, 0, 3, 0xff, 0xd9, 7], &[1, 0xff, 3], 5);
        check_loaded(&[9, 0xff, 0, 0xff, 0xff, 0xd0], &[0xff], 3);
        let long: Vec<u8> = (0..=254).chain(0..=254).collect();
        check_loaded(&[&[9], &long[..], &[0xff, 0xd9]].concat(), &long, 1 + long.len());
    }

    #[test]
    fn a_byte_of_ff_is_found_at_every_place() {
        assert_eq!(
            plain_word(&[0xfe, 0, 1, 0x80, 0x7f, 0, 0xfe, 0]).map(|word| word[3]),
            Some(0x80)
        );
        assert!(plain_word(&[0; 7]).is_none());
        for place in 0..8 {
            let mut word = [0xfe, 0, 1, 0x80, 0x7f, 0, 0xfe, 0];
            word[place] = 0xff;
            assert!(plain_word(&word).is_none());
        }
    }

    #[test]
    fn magnitudes_stand_for_numbers_on_both_sides_of_zero() {
        for (size, byte, expected) in [
            (0, 0x80, 0),
            (1, 0, -1),
            (1, 0x80, 1),
            (3, 0, -7),
            (3, 0x60, -4),
            (3, 0xe0, 7),
        ] {
            let mut bits = Bits::default();
            bits.load(&[byte], 0);
            bits.fill();
            assert_eq!(bits.number(Code::new(size, 0)), expected);
        }
    }
}
