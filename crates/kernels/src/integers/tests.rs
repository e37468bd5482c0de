//! Products of rounded numbers beside those of the numbers themselves.

use super::*;
use crate::testing::{close, same_bits, values};

fn check([rows, columns, depth]: [usize; 3], largest: f32) {
    let (mut a, b) = (values(1, rows * depth), values(2, depth * columns));
    // One number that is much larger than the others leaves them less room.
    a[depth / 2] *= largest;
    let bias = values(3, columns);
    let right = IntegerPanels::from_columns(depth, columns, |column, line| {
        line.copy_from_slice(&b[column * depth..(column + 1) * depth]);
    });
    let left = Matrix::new(&a, rows, depth);
    let got = same_bits(|| {
        multiply_integers(left, &right, Some(&bias), |_, line| {
            line.iter_mut().for_each(|one| *one *= 2.0)
        })
    });
    let expected: Vec<f64> = (0..rows * columns)
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            let product = (0..depth).map(|at| f64::from(a[row * depth + at]) * f64::from(b[column * depth + at]));
            2.0 * (product.sum::<f64>() + f64::from(bias[column]))
        })
        .collect();
    close(&format!("{rows} × {depth} × {columns}"), &got, &expected, 1e-3);
    let column: Vec<f32> = right.column(columns - 1).collect();
    let expected: Vec<f64> = b[(columns - 1) * depth..].iter().map(|&value| value.into()).collect();
    close("column", &column, &expected, 1e-3);
}

#[test]
fn products_are_nearly_those_of_floats() {
    for shape in [
        [1, 1, 1],
        [1, 33, 70],
        [3, 17, 5],
        [9, 100, 301],
        [97, 65, 40],
        [13, 9, 5000],
    ] {
        check(shape, 1.0);
        check(shape, 30.0);
    }
}

#[test]
fn the_worst_vectors_fit_their_sums() {
    for depth in [1, 2, 3, 100, 4096, 100_000] {
        let vector = vec![-3.0; depth];
        let right = IntegerPanels::from_columns(depth, 1, |_, line| line.copy_from_slice(&vector));
        let found = multiply_integers(Matrix::new(&vector, 1, depth), &right, None, |_, _| {});
        // Numbers that are all alike are all rounded alike.
        close("the square of a norm", &found, &[9.0 * depth as f64], 1e-2);
    }
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let right = |weight: [f32; 2]| IntegerPanels::from_columns(2, 1, move |_, line| line.copy_from_slice(&weight));
    let product =
        |left: [f32; 2], weight| multiply_integers(Matrix::new(&left, 1, 2), &right(weight), None, |_, _| {})[0];
    assert_eq!(product([0.0, 0.0], [1.0, 1.0]), 0.0);
    assert_eq!(product([1.0, 1.0], [0.0, 0.0]), 0.0);
    assert_eq!(product([1e-40, 0.0], [1.0, 1.0]), 0.0);
    assert!(product([f32::NAN, 0.0], [1.0, 1.0]).is_nan());
    for wrong in [f32::NAN, f32::INFINITY] {
        assert!(product([wrong, 1.0], [1.0, 1.0]).is_nan() && product([1.0, 1.0], [1.0, wrong]).is_nan());
    }
    for size in [1e30, 1e-30] {
        let found = product([size, size], [1.0, 1.0]);
        assert!((found / size / 2.0 - 1.0).abs() < 1e-3, "{found}");
    }
}
