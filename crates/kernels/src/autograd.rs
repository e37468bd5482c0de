//! The bridge between a fused operation with a hand-written gradient and burn's autodiff graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn_flex::FlexTensor;

/// What an operation with `N` float inputs keeps from its forward pass, and how it differentiates.
pub trait Gradient<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradients of the inputs for that of the output, which may be a strided view. `wanted` says which inputs
    /// need one; what is returned for the others is dropped.
    fn gradients(self, output: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

#[derive(Debug)]
struct Step<S>(PhantomData<fn() -> S>);

impl<S: Gradient<N>, const N: usize> Backward<Flex, N> for Step<S> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let results = ops.state.gradients(output, wanted);
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                gradients.register::<Flex>(parent.id, result);
            }
        }
    }
}

/// Runs `forward(inputs, tracked)` and records its gradient if any input needs one. When `tracked` is false the saved
/// state is dropped, so `forward` may leave its costly parts out.
pub fn record<C, S, const N: usize>(
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
    forward: impl FnOnce([FlexTensor; N], bool) -> (FlexTensor, S),
) -> FloatTensor<Autodiff<Flex, C>>
where
    C: CheckpointStrategy,
    S: Gradient<N>,
{
    let nodes = inputs.each_ref().map(|input| input.node());
    let primitives = inputs.map(|input| input.into_primitive());
    match Step::<S>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(preparation) => {
            let (output, state) = forward(primitives, true);
            preparation.finish(state, output)
        }
        OpsKind::UnTracked(preparation) => preparation.finish(forward(primitives, false).0),
    }
}
