//! Huffman tables (ITU-T T.81, annex C and F.2.2.3) as one look-up for all but the longest codes.

/// Bits of a code that one look-up resolves.
const FAST: u32 = 10;
/// Codes of this many bits or fewer exist.
const LONGEST: usize = 16;

/// A code, and what its symbol says; the default stands for no code. From the lowest byte: bits of the code and of
/// the magnitude behind it, bits of the code, bits of the magnitude, zeros before the coefficient. One number, because
/// shifting by its lowest byte is all that the next look-up waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Code(u32);

impl Code {
    pub fn new(symbol: u8, length: usize) -> Self {
        let size = symbol & 15;
        Self(u32::from_le_bytes([
            length as u8 + size,
            length as u8,
            size,
            symbol >> 4,
        ]))
    }

    /// Bits of the code and of the magnitude, in the lowest six bits.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Bits of the code.
    #[inline(always)]
    pub fn length(self) -> u32 {
        self.0 >> 8 & 255
    }

    /// The lower half of the symbol: bits of the magnitude.
    #[inline(always)]
    pub fn size(self) -> u32 {
        self.0 >> 16 & 255
    }

    /// The upper half of the symbol: zeros before the coefficient.
    #[inline(always)]
    pub fn run(self) -> u32 {
        self.0 >> 24
    }
}

#[derive(Debug, Clone)]
pub struct Table {
    fast: Box<[Code; 1 << FAST]>,
    /// By length: the first number, of sixteen bits, that begins with no code of this length or less.
    limits: [u32; LONGEST + 1],
    /// By length: what is added to a code to have its symbol's place.
    places: [i32; LONGEST + 1],
    symbols: Vec<u8>,
}

impl Table {
    /// Of `counts[n]` codes with n + 1 bits, whose symbols follow each other; nothing when there are more codes
    /// than numbers for them.
    pub fn new(counts: &[u8; LONGEST], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            fast: vec![Code::default(); 1 << FAST].try_into().ok()?,
            limits: [0; LONGEST + 1],
            places: [0; LONGEST + 1],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0u32, 0);
        for length in 1..=LONGEST {
            table.places[length] = place as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if code >> length != 0 {
                    return None;
                }
                table.enter(code, Code::new(*symbols.get(place)?, length));
                (code, place) = (code + 1, place + 1);
            }
            table.limits[length] = code << (LONGEST - length);
            code <<= 1;
        }
        Some(table)
    }

    /// Puts a short code at every number that begins with it.
    fn enter(&mut self, code: u32, entry: Code) {
        let Some(free) = FAST.checked_sub(entry.length()) else {
            return;
        };
        let first = (code << free) as usize;
        if let Some(places) = self.fast.get_mut(first..first + (1 << free)) {
            places.fill(entry);
        }
    }

    /// Whether every symbol is a number of bits, as that of a DC difference is.
    pub fn has_sizes_only(&self) -> bool {
        self.symbols.iter().all(|&symbol| symbol < 16)
    }

    /// The code at the top of `buffer`; nothing when none begins so.
    #[inline(always)]
    pub fn find(&self, buffer: u64) -> Option<Code> {
        let code = self.fast[(buffer >> (64 - FAST)) as usize];
        match code == Code::default() {
            true => self.find_long(buffer),
            false => Some(code),
        }
    }

    #[cold]
    #[inline(never)]
    fn find_long(&self, buffer: u64) -> Option<Code> {
        let next = (buffer >> 48) as u32;
        let length = (FAST as usize + 1..=LONGEST).find(|&length| next < self.limits[length])?;
        let place = (next >> (LONGEST - length)) as i32 + self.places[length];
        let symbol = *self.symbols.get(usize::try_from(place).ok()?)?;
        Some(Code::new(symbol, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_with_its_length() {
        // One code of each length: 0, 10, 110, … and sixteen bits that end in zero.
        let symbols: Vec<u8> = (0x10..0x20).collect();
        let table = Table::new(&[1; LONGEST], &symbols).unwrap();
        for length in 1..=LONGEST {
            let code = !(u64::MAX >> (length - 1));
            let found = table.find(code).unwrap();
            assert_eq!(found, Code::new(0x0f + length as u8, length));
            assert_eq!((found.run(), found.size() as usize), (1, length - 1));
        }
        assert_eq!(table.find(u64::MAX), None);
        assert!(!table.has_sizes_only());
    }

    #[test]
    fn more_codes_than_numbers_are_refused() {
        let mut counts = [0; LONGEST];
        counts[0] = 2;
        assert!(Table::new(&counts, &[1, 2]).unwrap().has_sizes_only());
        assert!(Table::new(&counts, &[1]).is_none());
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_none());
        (counts[0], counts[1]) = (2, 1);
        assert!(Table::new(&counts, &[1, 2, 3]).is_none());
    }
}
