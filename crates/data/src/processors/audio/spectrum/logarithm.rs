//! Natural logarithms by arithmetic alone, which the compiler turns into SIMD code.

/// The power series of the inverse hyperbolic tangent: 2·(1, 1/3, 1/5, 1/7, 1/9), highest first.
const SERIES: [f32; 5] = [2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0];
/// The bits of the square root of one half.
const ROOT_OF_HALF: u32 = 0x3f35_04f3;

/// ln x for a finite, normal `x` above 0, within 1e-7 of it or two units in the last place.
///
/// x = m·2^e with m from √½ to √2, and ln m = 2·artanh((m − 1) / (m + 1)), whose series is cut where
/// it falls under 1e-9.
pub fn natural_logarithm(x: f32) -> f32 {
    let shifted = x.to_bits().wrapping_sub(ROOT_OF_HALF);
    let exponent = (shifted as i32 >> 23) as f32;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff) + ROOT_OF_HALF);
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = SERIES.into_iter().reduce(|sum, next| sum * square + next);
    exponent * std::f32::consts::LN_2 + ratio * series.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: f32) {
        let (found, expected) = (f64::from(natural_logarithm(x)), f64::from(x).ln());
        let error = (found - expected).abs();
        assert!(
            error <= 1e-7 + 1.3e-7 * expected.abs(),
            "ln {x} = {expected}, found {found}"
        );
    }

    #[test]
    fn it_is_the_logarithm() {
        for x in [
            1.0,
            2.0,
            0.5,
            1e-10,
            1.192_092_9e-7,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::from_bits(ROOT_OF_HALF - 1),
            f32::from_bits(ROOT_OF_HALF),
        ] {
            check(x);
        }
        // Every exponent, with mantissas that differ from one to the next.
        for bits in (f32::MIN_POSITIVE.to_bits()..f32::INFINITY.to_bits()).step_by(9973) {
            check(f32::from_bits(bits));
        }
        assert_eq!(natural_logarithm(1.0), 0.0);
    }
}
