//! Elementwise functions in a form that compilers turn into SIMD code, and the choice of instructions at run time.

use std::ffi::OsStr;
use std::sync::OnceLock;

/// The environment variable that keeps kernels to a lesser set of instructions than the machine has.
const VARIABLE: &str = "SENSORIUM_INSTRUCTIONS";

/// The sets of instructions that kernels are written for, each with all of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Instructions {
    Portable,
    Avx2,
    Avx512,
}

impl Instructions {
    /// The most that this machine has.
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("f16c")
        {
            let wide = std::arch::is_x86_feature_detected!("avx512f");
            return if wide { Self::Avx512 } else { Self::Avx2 };
        }
        Self::Portable
    }

    /// The set that a value of [`VARIABLE`] names.
    fn parse(value: &OsStr) -> Result<Self, String> {
        match value.to_str() {
            Some("portable") => Ok(Self::Portable),
            Some("avx2") => Ok(Self::Avx2),
            Some("avx512") => Ok(Self::Avx512),
            _ => Err(format!(
                "the environment variable {VARIABLE} must be avx512, avx2 or portable, found {value:?}: correct or unset it"
            )),
        }
    }

    /// What kernels use: what the machine has, or less where [`VARIABLE`] asks for less when it is first read.
    ///
    /// # Panics
    /// If the variable names no set.
    #[inline]
    fn in_use() -> Self {
        static IN_USE: OnceLock<Instructions> = OnceLock::new();
        *IN_USE.get_or_init(|| {
            let limit = std::env::var_os(VARIABLE).map(|value| Self::parse(&value));
            let limit = limit.unwrap_or(Ok(Self::Avx512));
            Self::detect().min(limit.unwrap_or_else(|problem| panic!("{problem}")))
        })
    }
}

/// Whether kernels use AVX2 with FMA and F16C, which this machine then has.
#[inline]
pub fn has_avx2() -> bool {
    Instructions::in_use() >= Instructions::Avx2
}

/// Whether kernels use AVX-512F, which this machine then has.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn has_avx512() -> bool {
    Instructions::in_use() >= Instructions::Avx512
}

/// Whether kernels use AVX-512's products of whole numbers (VNNI), which this machine then has.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn has_vnni() -> bool {
    has_avx512() && std::arch::is_x86_feature_detected!("avx512vnni")
}

/// Compiles a function three times, for the baseline, for AVX2 and for AVX-512, and picks one at run time. The
/// operations and their order are the same in each, and so are the bits of the results.
macro_rules! vectorized {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name($($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn portable($($argument: $kind),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($argument: $kind),*) $(-> $result)? { portable($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($argument: $kind),*) $(-> $result)? { portable($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            if $crate::simd::has_avx512() {
                // SAFETY: the feature was detected on the line above.
                return unsafe { avx512($($argument),*) };
            }
            #[cfg(target_arch = "x86_64")]
            if $crate::simd::has_avx2() {
                // SAFETY: the features were detected on the line above.
                return unsafe { avx2($($argument),*) };
            }
            portable($($argument),*)
        }
    };
}
pub(crate) use vectorized;

/// eˣ within 2 units in the last place (Cephes `expf`): 0 below the normal range, infinity above, NaN for NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding this constant rounds to an integer that stays readable in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.7);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    // ln 2 is split in two so that the remainder is exact.
    let r = clamped - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 5.0e-1;
    let mantissa = p * (r * r) + r + 1.0;
    // Half of the power at a time keeps both factors in range at the upper end.
    let power = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = power >> 1;
    let scale = |power: i32| f32::from_bits((power.wrapping_add(127) << 23) as u32);
    let value = mantissa * scale(half) * scale(power.wrapping_sub(half));
    let value = if x < -87.3 { 0.0 } else { value };
    if x > 88.7 { f32::INFINITY } else { value }
}

/// The natural logarithm within 2 units in the last place (Cephes `logf`): −∞ for 0 and subnormal numbers, NaN below
/// zero and for NaN.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    // The power of two that leaves a mantissa between √½ and √2.
    const ROOT: i32 = 0x3f35_04f3;
    let bits = x.to_bits() as i32;
    let power = bits.wrapping_sub(ROOT) >> 23;
    let r = f32::from_bits(bits.wrapping_sub(power << 23) as u32) - 1.0;
    let z = r * r;
    let p = 7.037_683_6e-2;
    let p = p * r - 1.151_461e-1;
    let p = p * r + 1.167_699_9e-1;
    let p = p * r - 1.242_014_1e-1;
    let p = p * r + 1.424_932_3e-1;
    let p = p * r - 1.666_805_7e-1;
    let p = p * r + 2.000_071_4e-1;
    let p = p * r - 2.499_999_4e-1;
    let p = p * r + 3.333_333e-1;
    let power = power as f32;
    let value = p * r * z - power * 2.121_944_4e-4 - 0.5 * z + r + power * 0.693_359_4;
    let value = if x < f32::MIN_POSITIVE {
        f32::NEG_INFINITY
    } else {
        value
    };
    let value = if x < 0.0 { f32::NAN } else { value };
    if x < f32::INFINITY { value } else { x }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent (Cephes `tanhf`): a polynomial near zero keeps the relative error small there.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_908_8e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let near = p * z * x + x;
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

/// The error function within 2·10⁻⁷ (Abramowitz and Stegun 7.1.26), and e^(−x²).
#[inline(always)]
pub fn erf(x: f32) -> (f32, f32) {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let power = exp(-x * x);
    let p = 1.061_405_4 * t - 1.453_152_1;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_72;
    let p = p * t + 0.254_829_6;
    ((1.0 - p * t * power).copysign(x), power)
}

/// Numbers that elementwise loops handle together: two registers of AVX2.
pub const LANES: usize = 16;

/// Sixteen numbers from `start`.
#[inline(always)]
pub fn lanes(values: &[f32], start: usize) -> &[f32; LANES] {
    values[start..start + LANES]
        .try_into()
        .expect("the slice has sixteen numbers")
}

vectorized! {
    /// The sum of `values`, in sixteen interleaved parts.
    pub fn total(values: &[f32]) -> f32 {
        let mut lanes = [0.0; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest: f32 = chunks.remainder().iter().sum();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += value;
            }
        }
        lanes.iter().sum::<f32>() + rest
    }
}

vectorized! {
    /// The sum of products of two slices of one length, in interleaved parts.
    pub fn dot(left: &[f32], right: &[f32]) -> f32 {
        let mut lanes = [0.0f32; 32];
        let (chunks, others) = (left.chunks_exact(32), right.chunks_exact(32));
        let rest: f32 =
            chunks.remainder().iter().zip(others.remainder()).map(|(a, b)| a * b).sum();
        for (a, b) in chunks.zip(others) {
            for lane in 0..32 {
                lanes[lane] += a[lane] * b[lane];
            }
        }
        lanes.iter().sum::<f32>() + rest
    }
}

vectorized! {
    /// ln Σ eˣ over `values`, the largest taken out first so that no power overflows: −∞ if all of them are, NaN if one
    /// is NaN or infinite.
    pub fn log_sum_exp(values: &[f32]) -> f32 {
        let most = largest(values);
        if most == f32::NEG_INFINITY && !values.iter().any(|value| value.is_nan()) {
            return most;
        }
        let mut lanes = [0.0; LANES];
        let chunks = values.chunks_exact(LANES);
        let rest: f32 = chunks.remainder().iter().map(|value| exp(value - most)).sum();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += exp(value - most);
            }
        }
        most + (lanes.iter().sum::<f32>() + rest).ln()
    }
}

/// The largest of `values`, −∞ if there are none. NaN is passed over: it shows up in what is computed from the values.
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    let pick = |a: f32, b: f32| if b > a { b } else { a };
    let mut most = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, pick);
    for chunk in chunks {
        for (most, value) in most.iter_mut().zip(chunk) {
            *most = pick(*most, *value);
        }
    }
    most.into_iter().fold(rest, pick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, got: f32, expected: f64) {
        let error = (f64::from(got) - expected).abs() / expected.abs().max(1e-30);
        assert!(error < 3e-7, "{name}: {got} is not {expected}");
    }

    #[test]
    fn sums_of_powers_match_f64() {
        for length in [1, 16, 37, 8000] {
            let values: Vec<f32> = (0..length)
                .map(|index| (index * 37 % 101) as f32 * 0.9 - 120.0)
                .collect();
            let sum: f64 = values.iter().map(|value| f64::from(*value).exp()).sum();
            check("log_sum_exp", log_sum_exp(&values), sum.ln());
        }
        let (nan, most, least) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[least, 0.0, least]), 0.0);
        assert_eq!(log_sum_exp(&[least; 20]), least);
        for wrong in [[0.0, nan], [least, nan], [nan, nan], [0.0, most], [most, most]] {
            assert!(log_sum_exp(&wrong).is_nan(), "{wrong:?}");
        }
    }

    #[test]
    fn transcendental_functions_match_f64() {
        for step in -8700..8800 {
            let x = step as f32 * 0.01;
            let wide = f64::from(x);
            check("exp", exp(x), wide.exp());
            check("ln", ln(exp(x)), f64::from(exp(x)).ln());
            check("sigmoid", sigmoid(x), 1.0 / (1.0 + (-wide).exp()));
            if step != 0 {
                check("tanh", tanh(x * 0.01), (f64::from(x * 0.01)).tanh());
            }
        }
    }

    #[test]
    fn extremes_saturate_and_nan_stays() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!((tanh(100.0), tanh(-100.0), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(-200.0), sigmoid(200.0)), (0.0, 1.0));
        assert_eq!(
            (ln(0.0), ln(1.0), ln(f32::INFINITY)),
            (f32::NEG_INFINITY, 0.0, f32::INFINITY)
        );
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan());
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn a_limit_lowers_the_instructions_and_never_raises_them() {
        let parse = |name: &str| Instructions::parse(OsStr::new(name));
        assert_eq!(parse("portable"), Ok(Instructions::Portable));
        assert_eq!(parse("avx2"), Ok(Instructions::Avx2));
        assert_eq!(parse("avx512"), Ok(Instructions::Avx512));
        for unknown in ["", "AVX2", "sse"] {
            let problem = parse(unknown).expect_err("an unknown set");
            assert!(
                problem.contains(VARIABLE) && problem.contains(&format!("{unknown:?}")),
                "{problem}"
            );
        }
        let limit = std::env::var(VARIABLE).map_or(Instructions::Avx512, |name| parse(&name).expect("a known set"));
        assert_eq!(Instructions::in_use(), Instructions::detect().min(limit));
    }

    #[test]
    fn sums_take_every_element() {
        let values: Vec<f32> = (0..37).map(|value| value as f32).collect();
        assert_eq!(total(&values), 666.0);
        assert_eq!(dot(&values, &[2.0; 37]), 1332.0);
        assert_eq!(dot(&[1.0; 70], &[3.0; 70]), 210.0);
        assert_eq!(
            (largest(&values), largest(&values[..20]), largest(&[])),
            (36.0, 19.0, f32::NEG_INFINITY)
        );
    }
}
