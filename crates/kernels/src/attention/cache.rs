//! Keys and values kept from step to step of decoding.

use burn::backend::Flex;
use burn::tensor::{DType, Device, Tensor};
use burn_flex::FlexTensor;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::bias::Bias;
use super::heads::{Heads, from_rows, line, readable};
use super::kernel::{Attention, Mask, Part, all_blocks, pack};
use super::options::{AttentionKind, AttentionOptions};
use super::usual_scale;
use crate::buffer::{booleans, extents};
use crate::parallel;

/// Queries up to which keys and values are read where they lie instead of being packed.
const FEW: usize = 4;

/// The keys and values of the positions so far, in buffers that are allocated once (Pope et al. 2022): a step writes
/// its own and copies no others. Nothing in it has a gradient.
#[derive(Clone, Debug)]
pub struct KeyValueCache {
    storage: Storage,
    /// [batch, heads, capacity, width]
    shape: [usize; 4],
    length: usize,
    /// All positions as [`recall`](Self::recall) reads them, made when it first does.
    packed: OnceLock<Vec<Vec<Part>>>,
}

/// Two buffers of one shape.
#[derive(Clone, Debug)]
enum Storage {
    Floats(Rows),
    Tensors([Tensor<4>; 2]),
}

/// Rows that keep their place while they go on, so that only those are copied that several go on from.
#[derive(Clone, Debug)]
struct Rows {
    /// Of keys and of values, each [places, heads, capacity, width].
    buffers: [Vec<f32>; 2],
    /// The place of each row of the batch.
    places: Vec<usize>,
}

impl KeyValueCache {
    /// An empty cache of `shape` [batch, heads, capacity, width], where heads are those of keys and values. On the CPU
    /// it holds 32-bit floats.
    pub fn new(shape: [usize; 4], device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let storage = if device == Device::flex() {
            Storage::Floats(Rows {
                buffers: [0, 1].map(|_| vec![0.0; shape.iter().product()]),
                places: (0..shape[0]).collect(),
            })
        } else {
            Storage::Tensors([0, 1].map(|_| Tensor::zeros(shape, &device)))
        };
        Self {
            storage,
            shape,
            length: 0,
            packed: OnceLock::new(),
        }
    }

    /// The positions that are filled.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The positions that there is room for.
    pub fn capacity(&self) -> usize {
        self.shape[2]
    }

    /// Forgets the positions from `length`.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.packed = OnceLock::new();
    }

    /// Writes `keys` and `values` [batch, heads, steps, width] behind the positions so far.
    ///
    /// # Panics
    /// If they have another shape or there is no room for them.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) {
        let [batch, heads, capacity, width] = self.shape;
        let [_, _, steps, _] = keys.dims();
        let (start, end) = (self.length, self.length + steps);
        let expected = [batch, heads, steps, width];
        assert!(
            keys.dims() == expected && values.dims() == expected && end <= capacity,
            "a cache of {:?} with {start} positions takes keys and values {expected:?} up to its capacity, found {:?} \
             and {:?}",
            self.shape,
            keys.dims(),
            values.dims(),
        );
        let new = [keys, values];
        match &mut self.storage {
            Storage::Floats(rows) => {
                for (buffer, new) in rows.buffers.iter_mut().zip(new) {
                    write(buffer, &rows.places, &readable(&on_host(new)), start, capacity);
                }
            }
            Storage::Tensors(buffers) => {
                for (buffer, new) in buffers.iter_mut().zip(new) {
                    let new = without_graph(new);
                    buffer.inplace(|all| all.slice_assign([0..batch, 0..heads, start..end, 0..width], new));
                }
            }
        }
        self.length = end;
        self.packed = OnceLock::new();
    }

    /// Attention of `queries` [batch, query heads, steps, width], those of the last positions, to all positions up to
    /// their own, with the mask, the bias and the scale of `options`. Otherwise as [`attention`](crate::attention).
    pub fn attend(&self, queries: Tensor<4>, options: AttentionOptions) -> Tensor<4> {
        self.attend_as(AttentionKind::Causal, queries, options)
    }

    /// Attention of `queries` that are no positions of these: each sees all of them. Otherwise as [`Self::attend`].
    pub fn recall(&self, queries: Tensor<4>, options: AttentionOptions) -> Tensor<4> {
        self.attend_as(AttentionKind::Full, queries, options)
    }

    fn attend_as(&self, kind: AttentionKind, queries: Tensor<4>, options: AttentionOptions) -> Tensor<4> {
        let tracked = queries.is_autodiff();
        let options = AttentionOptions {
            kind,
            dropout: None,
            bias: options.bias.map(without_graph),
            ..options
        };
        let output = match &self.storage {
            Storage::Floats(rows) => self.attend_floats(rows, queries, options),
            Storage::Tensors(buffers) => {
                let [keys, values] = buffers.each_ref().map(|all| all.clone().narrow(2, 0, self.length));
                crate::attention(without_graph(queries), keys, values, options)
            }
        };
        if tracked { output.autodiff() } else { output }
    }

    fn attend_floats(&self, stored: &Rows, q: Tensor<4>, options: AttentionOptions) -> Tensor<4> {
        let [batch, key_heads, capacity, width] = self.shape;
        let q = readable(&on_host(q));
        let [rows, heads, queries, columns] = extents(&q);
        assert!(
            (rows, columns) == (batch, width) && key_heads > 0 && heads.is_multiple_of(key_heads),
            "a cache of {:?} takes queries of its batch and width and a multiple of its heads, found {:?}",
            self.shape,
            [rows, heads, queries, columns],
        );
        let kind = options.kind;
        let real = options.mask.map(|mask| {
            let mask = if mask.is_autodiff() { mask.inner() } else { mask };
            let mask = mask.try_into_primitive::<Flex>().expect("a mask on the cache's device");
            assert_eq!(extents(&mask), [batch, self.length], "the mask of a cache's positions");
            booleans(&mask)
        });
        let real = real.unwrap_or_else(|| vec![true; batch * self.length]);
        let attention = Attention {
            batch,
            heads,
            key_heads,
            queries,
            keys: self.length,
            width,
            mask: Mask::new(real, batch, self.length),
            kind,
            dropout: None,
            bias: options
                .bias
                .map(|bias| Bias::new(&on_host(bias), heads, [queries, self.length])),
            scale: options.scale.map_or_else(|| usual_scale(width), |scale| scale as f32),
        };
        let stored = stored.buffers.each_ref().map(|buffer| {
            let heads = Heads::filled(buffer, [key_heads, capacity, width], self.length);
            heads.at(&stored.places)
        });
        let q = Heads::of(&q);
        let output = if queries <= FEW {
            attention.decode(q, stored)
        } else if kind == AttentionKind::Full {
            attention.forward_packed(q, self.packed.get_or_init(|| self.pack(stored)))
        } else {
            attention.forward([q, stored[0], stored[1]]).0
        };
        Tensor::from_primitive::<Flex>(from_rows(output, [batch, heads, queries, width]))
    }

    /// The keys and values of each row's heads.
    fn pack(&self, [keys, values]: [Heads; 2]) -> Vec<Vec<Part>> {
        let [batch, heads, ..] = self.shape;
        let mut packed = vec![Vec::new(); batch * heads];
        parallel::for_each_of(packed.iter_mut().enumerate().collect(), |(pair, parts)| {
            let [keys, values] = [keys, values].map(|all| all.head(pair / heads, pair % heads));
            *parts = pack(keys, values, all_blocks(self.length));
        });
        packed
    }

    /// Lets row i go on from what was row `rows[i]`, as a beam search does; the batch becomes as long as `rows`.
    pub fn reorder(&mut self, rows: &[usize]) {
        let [batch, heads, capacity, width] = self.shape;
        if rows.iter().copied().eq(0..batch) {
            return;
        }
        self.shape[0] = rows.len();
        self.packed = OnceLock::new();
        match &mut self.storage {
            Storage::Floats(stored) => stored.reorder(rows, [heads, capacity * width, self.length * width]),
            Storage::Tensors(buffers) => {
                let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
                for buffer in buffers {
                    let rows = Tensor::from_ints(rows.as_slice(), &buffer.device());
                    buffer.inplace(|all| all.select(0, rows));
                }
            }
        }
    }
}

impl Rows {
    /// As [`KeyValueCache::reorder`], where each of so many heads has `size` numbers, of which the first `filled` count.
    fn reorder(&mut self, rows: &[usize], [heads, size, filled]: [usize; 3]) {
        let old = std::mem::take(&mut self.places);
        let all = self.buffers[0].len() / (heads * size).max(1);
        let mut free = (0..all.max(rows.len())).filter(|place| rows.iter().all(|&row| old[row] != *place));
        let mut taken = BTreeSet::new();
        for &row in rows {
            let from = old[row];
            if taken.insert(from) {
                self.places.push(from);
                continue;
            }
            let place = free.next().expect("there are as many places as rows");
            for buffer in &mut self.buffers {
                // What lies behind the filled positions is never read, whatever it is.
                buffer.resize(buffer.len().max((place + 1) * heads * size), 0.0);
                for head in 0..heads {
                    let start = (from * heads + head) * size;
                    buffer.copy_within(start..start + filled, (place * heads + head) * size);
                }
            }
            self.places.push(place);
        }
    }
}

fn without_graph<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.inner() } else { tensor }
}

/// The 32-bit floats of a tensor on the CPU.
fn on_host<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let tensor = without_graph(tensor).cast(DType::F32);
    tensor
        .try_into_primitive::<Flex>()
        .expect("a tensor on the cache's device")
}

/// Writes `new` [batch, heads, steps, width] to positions from `start` of a buffer [places, heads, capacity, width].
fn write(buffer: &mut [f32], places: &[usize], new: &FlexTensor, start: usize, capacity: usize) {
    let [batch, heads, steps, width] = extents(new);
    let new = Heads::of(new);
    for (row, head) in (0..batch).flat_map(|row| (0..heads).map(move |head| (row, head))) {
        let rows = new.head(row, head);
        for step in 0..steps {
            let at = ((places[row] * heads + head) * capacity + start + step) * width;
            buffer[at..at + width].copy_from_slice(line(rows, step));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, elements, values};
    use burn::tensor::Bool;

    fn check([batch, heads, key_heads, length, width]: [usize; 5], steps: &[usize], padded: bool, biased: bool) {
        let device = Device::flex();
        let tensor = |seed, heads: usize| {
            let values = values(seed, batch * length * heads * width);
            let flat = Tensor::<1>::from_floats(values.as_slice(), &device);
            flat.reshape([batch, length, heads, width]).swap_dims(1, 2)
        };
        let (q, k, v) = (tensor(1, heads), tensor(2, key_heads), tensor(3, key_heads));
        let truths: Vec<bool> = (0..batch * length)
            .map(|at| !padded || at % length != at / length)
            .collect();
        let mask = Tensor::<1, Bool>::from_bool(truths.as_slice(), &device).reshape([batch, length]);
        let bias = values(4, heads * (2 * length - 1));
        let bias = Tensor::<1>::from_floats(bias.as_slice(), &device).reshape([heads, 2 * length - 1]);
        let options = |bias: Tensor<2>, mask| AttentionOptions {
            mask,
            bias: biased.then_some(bias),
            scale: biased.then_some(0.7),
            ..AttentionOptions::causal()
        };
        let all = options(bias.clone(), Some(mask.clone()));
        let expected = crate::attention(q.clone(), k.clone(), v.clone(), all);
        let shape = [batch, key_heads, length + 2, width];
        let host = KeyValueCache::new(shape, &device.clone().autodiff());
        let elsewhere = KeyValueCache {
            storage: Storage::Tensors([0, 1].map(|_| Tensor::zeros(shape, &device))),
            ..host.clone()
        };
        for mut cache in [host, elsewhere] {
            for &count in steps {
                let start = cache.length();
                let step = |all: &Tensor<4>| all.clone().narrow(2, start, count);
                cache.append(step(&k), step(&v));
                let seen = padded.then(|| mask.clone().narrow(1, 0, cache.length()));
                // Of the distances those that keys so far have from the last queries.
                let bias = bias
                    .clone()
                    .narrow(1, length - cache.length(), cache.length() + count - 1);
                let got = cache.attend(step(&q), options(bias, seen));
                let expected: Vec<f64> = elements(step(&expected)).into_iter().map(f64::from).collect();
                close("step", &elements(got), &expected, 1e-5);
            }
            assert_eq!((cache.length(), cache.capacity()), (length, length + 2));
        }
    }

    #[test]
    fn steps_match_attention_over_all_positions() {
        for biased in [false, true] {
            check([1, 1, 1, 3, 1], &[1, 1, 1], false, biased);
            check([2, 3, 3, 9, 5], &[6, 1, 2], false, biased);
            check([3, 4, 2, 20, 17], &[7, 1, 1, 4, 1, 6], true, biased);
            check([2, 4, 1, 40, 33], &[1, 30, 9], true, biased);
        }
    }

    #[test]
    fn recalled_positions_are_all_seen() {
        let device = Device::flex();
        let tensor = |seed, length: usize| {
            let values = values(seed, 2 * 3 * length * 5);
            Tensor::<1>::from_floats(values.as_slice(), &device).reshape([2, 3, length, 5])
        };
        let (k, v) = (tensor(2, 9), tensor(3, 9));
        for queries in [1, 3, 7] {
            let q = tensor(1, queries);
            let expected = crate::attention(q.clone(), k.clone(), v.clone(), AttentionOptions::default());
            let mut cache = KeyValueCache::new([2, 3, 9, 5], &device);
            cache.append(k.clone(), v.clone());
            let expected: Vec<f64> = elements(expected).into_iter().map(f64::from).collect();
            close(
                "recall",
                &elements(cache.recall(q, AttentionOptions::default())),
                &expected,
                1e-5,
            );
        }
    }

    #[test]
    fn rows_can_be_reordered_and_positions_forgotten() {
        let device = Device::flex();
        let tensor = |seed| {
            let values = values(seed, 2 * 3 * 4);
            Tensor::<1>::from_floats(values.as_slice(), &device).reshape([2, 1, 3, 4])
        };
        let (q, k, v) = (tensor(1).narrow(2, 2, 1), tensor(2), tensor(3));
        let mut cache = KeyValueCache::new([2, 1, 3, 4], &device);
        cache.append(k.clone(), v.clone());
        let expected = elements(cache.attend(q.clone(), AttentionOptions::default()));
        cache.truncate(2);
        cache.append(k.narrow(2, 2, 1), v.narrow(2, 2, 1));
        cache.reorder(&[1, 0, 1]);
        let rows = [1, 0, 1].map(|row| q.clone().narrow(0, row, 1));
        let got = elements(cache.attend(Tensor::cat(rows.to_vec(), 0), AttentionOptions::default()));
        assert_eq!(got, [&expected[4..], &expected[..4], &expected[4..]].concat());
    }

    #[test]
    #[should_panic(expected = "up to its capacity")]
    fn a_full_cache_is_refused() {
        let device = Device::flex();
        let mut cache = KeyValueCache::new([1, 1, 2, 1], &device);
        cache.append(
            Tensor::zeros([1, 1, 3, 1], &device),
            Tensor::zeros([1, 1, 3, 1], &device),
        );
    }
}
