//! The best class of every frame, repeats joined and blanks left out.

use super::align::{AlignedToken, Alignment};
use super::frames::Frames;

/// Decodes the best path (Graves et al. 2006, section 3.2): fast, and exact where the frames are sure.
///
/// Of equal classes the first wins. [`Alignment::log_probability`] is that of the path.
pub fn greedy(frames: &Frames) -> Alignment {
    let mut alignment = Alignment::default();
    let mut previous = frames.blank();
    for (at, frame) in frames.iter().enumerate() {
        let class = best(frame);
        alignment.log_probability += f64::from(frame[class]);
        if class != frames.blank() {
            match alignment.tokens.last_mut() {
                Some(token) if class == previous => token.extend(at, frame[class]),
                _ => alignment.tokens.push(AlignedToken::new(class as u32, at, frame[class])),
            }
        }
        previous = class;
    }
    alignment
}

fn best(frame: &[f32]) -> usize {
    (1..frame.len()).fold(0, |best, class| if frame[class] > frame[best] { class } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames that are sure of `classes`, blank 0; expects (token, start, end).
    fn check(classes: &[usize], expected: &[(u32, usize, usize)]) {
        let mut values = vec![0.1f32.ln(); classes.len() * 3];
        for (frame, &class) in classes.iter().enumerate() {
            values[frame * 3 + class] = 0.8f32.ln();
        }
        let alignment = greedy(&Frames::new(&values, classes.len(), 3, 0).unwrap());
        let found: Vec<_> = alignment
            .tokens
            .iter()
            .map(|token| (token.token, token.start, token.end))
            .collect();
        assert_eq!(found, expected);
        assert!(
            alignment
                .tokens
                .iter()
                .all(|token| (token.probability - 0.8).abs() < 1e-6)
        );
        assert!((alignment.log_probability - classes.len() as f64 * 0.8f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn repeats_are_joined_and_blanks_left_out() {
        check(&[0, 1, 1, 0, 1, 2, 2, 0], &[(1, 1, 3), (1, 4, 5), (2, 5, 7)]);
        check(&[2, 2], &[(2, 0, 2)]);
        check(&[0, 0], &[]);
        check(&[], &[]);
    }
}
