//! The inverse cosine transform: Loeffler, Ligtenberg and Moschytz (1989) in thirteen-bit fixed point, rounded as the
//! Independent JPEG Group's accurate integer method is, so that samples are equal to the bit. Smaller outputs use its
//! reduced forms. Each operation works on eight blocks at once, which compilers turn into vector instructions.

use super::frame::BLOCK;
use std::marker::PhantomData;

/// Blocks that are transformed together.
pub const LANES: usize = 8;
/// The coefficients of eight neighbouring blocks: natural order, then block.
pub type Group = [[i16; LANES]; 64];
/// The samples of one line of eight blocks, the first sample of each block lowest.
type Line = [u64; LANES];

/// Bits of the constants below the point.
const CONSTANT: u32 = 13;
/// Bits that the first pass leaves below the point.
const BETWEEN: u32 = 2;
/// Bits that a transform of two dimensions must divide away.
const SIZE: u32 = 3;

/// Makes `side` lines of samples from the blocks of one row.
pub fn transform(groups: &[Group], steps: &[i16; 64], side: usize, lines: &mut [u8]) {
    let arch = pulp::Arch::new();
    match side {
        8 => arch.dispatch(Row::<8, Whole>::new(groups, steps, lines)),
        4 => arch.dispatch(Row::<4, Half>::new(groups, steps, lines)),
        2 => arch.dispatch(Row::<2, Quarter>::new(groups, steps, lines)),
        _ => arch.dispatch(Row::<1, Mean>::new(groups, steps, lines)),
    }
}

/// A transform of eight coefficients into `SIDE` samples.
trait Kind<const SIDE: usize> {
    /// Bits that one pass adds below the point.
    const SHIFT: u32;

    /// Not yet shifted back.
    fn line(coefficients: [i32; BLOCK]) -> [i32; SIDE];
}

struct Row<'a, const SIDE: usize, K> {
    groups: &'a [Group],
    steps: &'a [i16; 64],
    lines: &'a mut [u8],
    kind: PhantomData<K>,
}

impl<'a, const SIDE: usize, K> Row<'a, SIDE, K> {
    fn new(groups: &'a [Group], steps: &'a [i16; 64], lines: &'a mut [u8]) -> Self {
        Self {
            groups,
            steps,
            lines,
            kind: PhantomData,
        }
    }
}

impl<const SIDE: usize, K: Kind<SIDE>> pulp::NullaryFnOnce for Row<'_, SIDE, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let stride = LANES * SIDE * self.groups.len();
        for (index, group) in self.groups.iter().enumerate() {
            let lines = block::<SIDE, K>(group, self.steps);
            for (line, target) in lines.iter().zip(self.lines.chunks_exact_mut(stride)) {
                store::<SIDE>(line, &mut target[LANES * SIDE * index..][..LANES * SIDE]);
            }
        }
    }
}

#[inline(always)]
fn store<const SIDE: usize>(line: &Line, target: &mut [u8]) {
    let (blocks, _) = target.as_chunks_mut::<SIDE>();
    for (block, samples) in blocks.iter_mut().zip(line) {
        block.copy_from_slice(&samples.to_le_bytes()[..SIDE]);
    }
}

#[inline(always)]
fn block<const SIDE: usize, K: Kind<SIDE>>(group: &Group, steps: &[i16; 64]) -> [Line; SIDE] {
    let columns = columns::<SIDE, K>(group, steps);
    let mut lines = [[0; LANES]; SIDE];
    for (column, line) in columns.iter().zip(&mut lines) {
        // Two halves of 32 bits, so that all steps work on as many lanes.
        let (mut low, mut high) = ([0; LANES], [0; LANES]);
        for lane in 0..LANES {
            let coefficients = std::array::from_fn(|at| column[at][lane]);
            let samples = K::line(coefficients).map(|value| sample(rounded(value, K::SHIFT + BETWEEN + SIZE)));
            low[lane] = packed(&samples, 0);
            high[lane] = packed(&samples, 4);
        }
        for lane in 0..LANES {
            line[lane] = u64::from(low[lane]) | u64::from(high[lane]) << 32;
        }
    }
    lines
}

/// The first pass, down each column; its results stand line by line.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the column is an index of all three arrays")]
fn columns<const SIDE: usize, K: Kind<SIDE>>(group: &Group, steps: &[i16; 64]) -> [[[i32; LANES]; BLOCK]; SIDE] {
    let mut result = [[[0; LANES]; BLOCK]; SIDE];
    for column in 0..BLOCK {
        for lane in 0..LANES {
            let coefficients = std::array::from_fn(|row| {
                let at = BLOCK * row + column;
                i32::from(group[at][lane].wrapping_mul(steps[at]))
            });
            let line = K::line(coefficients);
            for row in 0..SIDE {
                result[row][column][lane] = rounded(line[row], K::SHIFT - BETWEEN);
            }
        }
    }
    result
}

/// Samples are stored without a sign.
#[inline(always)]
fn sample(value: i32) -> u32 {
    add(value, 128).clamp(0, 255) as u32
}

/// Up to four samples from `first` on, the first lowest.
#[inline(always)]
fn packed<const SIDE: usize>(samples: &[u32; SIDE], first: usize) -> u32 {
    let samples = samples.iter().skip(first).take(4).enumerate();
    samples.fold(0, |sum, (place, &sample)| sum | sample << (8 * place))
}

#[inline(always)]
fn rounded(value: i32, shift: u32) -> i32 {
    add(value, 1 << (shift - 1)) >> shift
}

// The coefficients of a damaged file may be of any size: the results are then of no use, but no fault.
#[inline(always)]
fn add(a: i32, b: i32) -> i32 {
    a.wrapping_add(b)
}

#[inline(always)]
fn sub(a: i32, b: i32) -> i32 {
    a.wrapping_sub(b)
}

/// A product with a constant, which is given as a whole number and so many millionths.
#[inline(always)]
fn mul<const WHOLE: i64, const PART: i64>(value: i32) -> i32 {
    let constant = const {
        let billionths = WHOLE * 1_000_000_000 + PART;
        ((billionths << CONSTANT) + 500_000_000) / 1_000_000_000
    };
    value.wrapping_mul(constant as i32)
}

/// Eight samples.
struct Whole;

impl Kind<8> for Whole {
    const SHIFT: u32 = CONSTANT;

    #[inline(always)]
    fn line(c: [i32; BLOCK]) -> [i32; 8] {
        let shared = mul::<0, 541196100>(add(c[2], c[6]));
        let outer = add(shared, mul::<0, 765366865>(c[2]));
        let inner = sub(shared, mul::<1, 847759065>(c[6]));
        let sum = add(c[0], c[4]) << CONSTANT;
        let difference = sub(c[0], c[4]) << CONSTANT;
        let even = [
            add(sum, outer),
            add(difference, inner),
            sub(difference, inner),
            sub(sum, outer),
        ];

        let shared = mul::<1, 175875602>(add(add(c[7], c[3]), add(c[5], c[1])));
        let a = mul::<0, 899976223>(add(c[7], c[1]));
        let b = mul::<2, 562915447>(add(c[5], c[3]));
        let d = sub(shared, mul::<1, 961570560>(add(c[7], c[3])));
        let e = sub(shared, mul::<0, 390180644>(add(c[5], c[1])));
        let odd = [
            add(sub(mul::<1, 501321110>(c[1]), a), e),
            add(sub(mul::<3, 72711026>(c[3]), b), d),
            add(sub(mul::<2, 53119869>(c[5]), b), e),
            add(sub(mul::<0, 298631336>(c[7]), a), d),
        ];
        std::array::from_fn(|at| match at {
            0..4 => add(even[at], odd[at]),
            _ => sub(even[7 - at], odd[7 - at]),
        })
    }
}

/// Four samples of the lower frequencies, without the fifth.
struct Half;

impl Kind<4> for Half {
    const SHIFT: u32 = CONSTANT + 1;

    #[inline(always)]
    fn line(c: [i32; BLOCK]) -> [i32; 4] {
        let mean = c[0] << (CONSTANT + 1);
        let even = sub(mul::<1, 847759065>(c[2]), mul::<0, 765366865>(c[6]));
        let outer = sub(
            add(mul::<2, 562915447>(c[1]), mul::<0, 899976223>(c[3])),
            add(mul::<0, 601344887>(c[5]), mul::<0, 509795579>(c[7])),
        );
        let inner = sub(
            add(mul::<1, 61594337>(c[1]), mul::<1, 451774981>(c[5])),
            add(mul::<2, 172734803>(c[3]), mul::<0, 211164243>(c[7])),
        );
        let (high, low) = (add(mean, even), sub(mean, even));
        [add(high, outer), add(low, inner), sub(low, inner), sub(high, outer)]
    }
}

/// Two samples, of the mean and the odd frequencies.
struct Quarter;

impl Kind<2> for Quarter {
    const SHIFT: u32 = CONSTANT + 2;

    #[inline(always)]
    fn line(c: [i32; BLOCK]) -> [i32; 2] {
        let mean = c[0] << (CONSTANT + 2);
        let odd = sub(
            add(mul::<3, 624509785>(c[1]), mul::<0, 850430095>(c[5])),
            add(mul::<1, 272758580>(c[3]), mul::<0, 720959822>(c[7])),
        );
        [add(mean, odd), sub(mean, odd)]
    }
}

/// One sample, of the mean.
struct Mean;

impl Kind<1> for Mean {
    const SHIFT: u32 = BETWEEN + 1;

    #[inline(always)]
    fn line(c: [i32; BLOCK]) -> [i32; 1] {
        [c[0] << (BETWEEN + 1)]
    }
}
