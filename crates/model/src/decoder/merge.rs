//! Neighbouring patches joined to one token (pixel shuffle backwards, Shi et al. 2016).

use crate::tokens::{Layout, Tokens};
use burn::tensor::Tensor;

/// Squares of `side` × `side` tokens of each plane as one token, whose numbers stand side by side, row by row of the square:
/// [batch, length, width] → [batch, length / side², side² × width]. A token is real where one of its own is. What lies on no
/// plane, since it stands for an absent medium, is joined with itself.
///
/// # Panics
/// When `side` does not divide the height and width of the planes.
pub fn merged(source: Tokens, side: usize) -> Tokens {
    let layout = match source.layout {
        _ if side == 1 => return source,
        Layout::Sequence => {
            let embeddings = source.embeddings.repeat_dim(2, side * side);
            return Tokens::new(embeddings, source.mask, Layout::Sequence);
        }
        Layout::Squares { side: own } => {
            assert_eq!(own, side, "squares that lie together");
            return together(source, side * side);
        }
        Layout::Grid { height, width } => Layout::Grid {
            height: height / side,
            width: width / side,
        },
        Layout::Frames { time, height, width } => Layout::Frames {
            time,
            height: height / side,
            width: width / side,
        },
    };
    let columns = match source.layout {
        Layout::Grid { width, .. } | Layout::Frames { width, .. } => width,
        Layout::Sequence | Layout::Squares { .. } => 1,
    };
    let [batch, length] = source.mask.dims();
    let real = source.mask.float().reshape([batch, length, 1]);
    let real = squares(real, columns, side).sum_dim(2);
    let [_, length, _] = real.dims();
    Tokens::new(
        squares(source.embeddings, columns, side),
        real.greater_elem(0.0).reshape([batch, length]),
        layout,
    )
}

/// Every `count` neighbours as one token.
fn together(source: Tokens, count: usize) -> Tokens {
    let [batch, length, width] = source.embeddings.dims();
    let real = source.mask.int().reshape([batch, length / count, count]).max_dim(2);
    Tokens::new(
        source.embeddings.reshape([batch, length / count, count * width]),
        real.reshape([batch, length / count]).bool(),
        Layout::Sequence,
    )
}

/// `x` [batch, length, width], whose rows have so many `columns`, joined by squares.
fn squares(x: Tensor<3>, columns: usize, side: usize) -> Tensor<3> {
    let [batch, length, width] = x.dims();
    let rows = length / columns;
    assert!(
        rows.is_multiple_of(side) && columns.is_multiple_of(side),
        "squares of {side} do not cover rows of {columns}"
    );
    x.reshape([batch * rows / side, side, columns / side, side * width])
        .swap_dims(1, 2)
        .reshape([batch, length / (side * side), side * side * width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use burn::tensor::Device;

    /// Numbered tokens of the width one.
    fn numbered(count: usize, layout: Layout) -> Tokens {
        let values: Vec<f32> = (0..count).map(|place| place as f32).collect();
        let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, count, 1]);
        Tokens::full(x, layout)
    }

    #[test]
    fn neighbours_of_a_plane_become_one_token() {
        let found = merged(numbered(8, Layout::Grid { height: 2, width: 4 }), 2);
        assert_eq!(found.layout, Layout::Grid { height: 1, width: 2 });
        assert_eq!(to_vec(found.embeddings), [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
    }

    #[test]
    fn planes_are_joined_by_themselves() {
        let layout = |time, height, width| Layout::Frames { time, height, width };
        let found = merged(numbered(8, layout(2, 2, 2)), 2);
        assert_eq!(found.layout, layout(2, 1, 1));
        assert_eq!(to_vec(found.embeddings), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn squares_that_lie_together_are_joined() {
        let found = merged(numbered(8, Layout::Squares { side: 2 }), 2);
        assert_eq!((found.layout, found.mask.dims()), (Layout::Sequence, [1, 2]));
        assert_eq!(to_vec(found.embeddings), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn a_token_is_real_where_one_of_its_own_is() {
        let tokens = numbered(8, Layout::Grid { height: 2, width: 4 });
        let first = Tensor::<2>::from_floats([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], &Device::flex());
        let found = merged(
            Tokens {
                mask: first.greater_elem(0.5),
                ..tokens
            },
            2,
        );
        let real: Vec<bool> = found.mask.into_data().iter::<bool>().collect();
        assert_eq!(real, [true, false]);
    }

    #[test]
    fn what_is_absent_is_joined_with_itself() {
        let found = merged(numbered(1, Layout::Sequence), 2);
        assert_eq!(found.embeddings.dims(), [1, 1, 4]);
    }
}
