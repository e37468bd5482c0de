//! What stands between the two maps of a feed-forward network.

use crate::layers::Linear;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::{Epilogue, gelu_tanh, silu};
use serde::{Deserialize, Serialize};

/// The factor of the logistic function in CLIP's approximation of GELU.
const QUICK: f64 = 1.702;

/// What stands between the two maps of a feed-forward network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x·Φ(x) (Hendrycks and Gimpel 2016).
    #[default]
    Gelu,
    /// Its approximation by the hyperbolic tangent, which GPT-2 was trained with.
    GeluTanh,
    /// Its approximation by the logistic function of 1.702x, which CLIP was trained with.
    QuickGelu,
    /// The larger of x and 0, which T5 was trained with.
    Relu,
    /// x·σ(x) (Elfwing et al. 2018).
    Silu,
}

impl Activation {
    /// The one that configurations of `transformers` call `name`.
    ///
    /// # Errors
    /// For one that is not known here; `field` is where it stands.
    pub fn named(name: &str, field: &str) -> Result<Self, String> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "quick_gelu" => Ok(Self::QuickGelu),
            _ => Err(format!(
                "{field}: expected `gelu`, `gelu_new`, `gelu_pytorch_tanh` or `quick_gelu`, found `{name}`, which is not known here"
            )),
        }
    }

    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// [.., input] → [.., output], behind the map `linear`.
    pub fn behind<const D: usize>(self, linear: &Linear, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => linear.forward_then(x, Epilogue::Gelu),
            Self::GeluTanh => gelu_tanh(linear.forward(x)),
            Self::QuickGelu => silu(linear.forward(x) * QUICK) * (1.0 / QUICK),
            Self::Relu => linear.forward_then(x, Epilogue::Relu),
            Self::Silu => silu(linear.forward(x)),
        }
    }
}
