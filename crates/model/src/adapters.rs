//! Low-rank adapters: small matrices that are trained beside weights that stay as they are (LoRA, Hu et al. 2022).

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::parameters::{map_parameters, parameters};
use burn::module::{Lora, LoraAdapter, Module, ParamGroup, ParamId};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::linear;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the paths of an adapter's two matrices hold behind the path of its weight.
const ADAPTER: &str = ".lora.";
/// The one that is drawn by chance; the other one is zero at first.
const DRAWN: &str = ".lora.a";

/// Low-rank adapters in the place of training all weights further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// The rank of what is added to a weight.
    #[schemars(range(min = 1, max = 1024))]
    pub rank: usize,
    /// What is added is scaled by this divided by the rank.
    #[schemars(range(min = 0.0, max = 65_536.0))]
    pub alpha: f64,
    /// The maps whose weights are adapted, such as `query`, `key`, `value`, `output`, `expand` and `contract`.
    #[schemars(length(min = 1))]
    pub layers: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            layers: vec!["query".into(), "value".into()],
        }
    }
}

impl LoraConfig {
    /// The same module, frozen, with an adapter beside the weight of each map that is called so.
    ///
    /// # Errors
    /// [`Config`](ModelError::Config) with the field `lora.layers` for a name that no map has.
    pub fn adapt<M: Module>(&self, module: M, init: &Init) -> Result<M> {
        let mut adapted: Vec<ParamId> = Vec::new();
        let weights = maps(&module);
        for wanted in &self.layers {
            let found = weights.iter().filter(|(name, _)| name == wanted);
            let before = adapted.len();
            adapted.extend(found.map(|(_, id)| *id));
            if adapted.len() == before {
                let known: BTreeSet<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                let message = format!("no map is called `{wanted}`; there are {known}");
                return Err(ModelError::config("lora.layers", message));
            }
        }
        let lora = Lora::new(self.rank, self.alpha).set_param_group(ParamGroup::from_ids(adapted));
        Ok(map_parameters(module.apply_lora(lora), |path, values| {
            let drawn = || init.normal(path, values.dims(), 1.0 / self.rank as f64);
            path.ends_with(DRAWN).then(|| drawn().val().without_autodiff())
        }))
    }
}

/// What an adapter adds to the product of `x` [.., input] and its weight [output, input], [.., output]: the weight itself is
/// never made whole.
pub(crate) fn product<const D: usize>(x: Tensor<D>, adapter: &LoraAdapter) -> Tensor<D> {
    let (narrow, wide) = (adapter.b.val(), adapter.a.val());
    let x = match narrow.is_autodiff() && !x.is_autodiff() {
        true => x.autodiff(),
        false => x,
    };
    linear(linear(x, narrow, None), wide, None) * adapter.scale
}

/// Whether a parameter is one of an adapter.
pub(crate) fn is_adapter(path: &str) -> bool {
    path.contains(ADAPTER)
}

/// The names of all maps of a module, and their weights.
fn maps<M: Module>(module: &M) -> Vec<(String, ParamId)> {
    let all = parameters(module).into_iter();
    let name = |path: &str| {
        let layer = path.strip_suffix(".weight")?;
        Some(layer.rsplit('.').next().unwrap_or(layer).to_string())
    };
    all.filter(|(_, parameter)| parameter.shape.len() == 2)
        .filter_map(|(path, parameter)| Some((name(&path)?, parameter.id)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use crate::layers::Linear;
    use burn::tensor::Device;
    use sensorium_kernels::{Epilogue, PackedWeight, Precision};
    use std::collections::BTreeMap;

    #[derive(Module, Debug)]
    struct Pair {
        query: Linear,
        output: Linear,
    }

    fn pair(init: &Init) -> Pair {
        Pair {
            query: Linear::new(4, 3, &init.at("query")),
            output: Linear::new(3, 2, &init.at("output")),
        }
    }

    fn config(layers: &[&str]) -> LoraConfig {
        LoraConfig {
            rank: 2,
            alpha: 6.0,
            layers: layers.iter().map(|layer| layer.to_string()).collect(),
        }
    }

    #[test]
    fn an_adapter_begins_as_nothing_and_alone_is_trained() {
        let init = Init::new(3, &Device::flex().autodiff());
        let (plain, adapted) = (pair(&init), config(&["query"]).adapt(pair(&init), &init).unwrap());
        let x = Tensor::<2>::ones([1, 4], &Device::flex().autodiff());
        let answer = |pair: &Pair| pair.output.forward(pair.query.forward(x.clone()));
        assert_eq!(to_vec(answer(&plain)), to_vec(answer(&adapted)));
        let trainable: BTreeMap<String, bool> = parameters(&adapted)
            .into_iter()
            .map(|(path, parameter)| (path, parameter.trainable))
            .collect();
        let learnt = trainable.iter().filter(|(_, trainable)| **trainable);
        let learnt: Vec<&str> = learnt.map(|(path, _)| path.as_str()).collect();
        assert_eq!(learnt, ["query.weight.lora.a", "query.weight.lora.b"]);
        assert_eq!(trainable.len(), 6);
        let again = config(&["query"]).adapt(pair(&init), &init).unwrap();
        let drawn = |pair: &Pair| to_vec(parameters(pair).remove("query.weight.lora.a").unwrap().values);
        assert_eq!(drawn(&adapted), drawn(&again));
        assert!(drawn(&adapted).iter().any(|value| *value != 0.0));
    }

    /// The scale is `alpha` divided by the rank, and what is merged answers alike.
    #[test]
    fn an_adapter_is_merged_into_its_weight() {
        let init = Init::new(3, &Device::flex());
        let adapted = config(&["query"]).adapt(pair(&init), &init).unwrap();
        let ones = |path: &str, values: Tensor<1>| is_adapter(path).then(|| values.ones_like());
        let adapted = map_parameters(adapted, ones);
        let x = || Tensor::<2>::ones([1, 4], &Device::flex());
        let (before, after) = (pair(&init).query.forward(x()), adapted.query.forward(x()));
        // Four ones times two ranks of ones, times three.
        let expected: Vec<f32> = to_vec(before).into_iter().map(|value| value + 24.0).collect();
        let found = to_vec(after);
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4),
            "{found:?} {expected:?}"
        );
        let merged = adapted.clone().materialize();
        assert_eq!(parameters(&merged).len(), 4);
        assert_eq!(to_vec(merged.query.forward(x())), found);
    }

    /// Only adapters are parameters of a map that is packed; it answers as with the numbers that the few bits stand for, and its
    /// adapter is learnt as beside these.
    #[test]
    fn an_adapter_is_trained_beside_a_packed_weight() {
        let device = Device::flex().autodiff();
        let init = Init::new(3, &device);
        let ones = |path: &str, values: Tensor<1>| is_adapter(path).then(|| values.ones_like().autodiff());
        let adapted = |map| map_parameters(config(&["query", "output"]).adapt(map, &init).unwrap(), ones);
        let rounded = map_parameters(pair(&init), |path, values| {
            let shape = match path {
                "query.weight" => [3, 4],
                "output.weight" => [2, 3],
                _ => return None,
            };
            let whole = PackedWeight::new(values.clone().reshape(shape), Precision::Int8).whole();
            Some(Tensor::<1>::from_floats(whole.as_slice(), &Device::flex()))
        });
        let (whole, mut packed) = (adapted(rounded), adapted(pair(&init)));
        packed.query = packed.query.pack(Precision::Int8);
        packed.output = packed.output.pack(Precision::Int8);
        let answer = |pair: &Pair| {
            let x = Tensor::<2>::from_floats([[0.5, -1.0, 2.0, 0.25], [1.0, 3.0, -0.5, 0.0]], &device);
            let y = pair.output.forward(pair.query.forward_then(x, Epilogue::Gelu));
            let mut found = y.clone().powi_scalar(2).sum().backward();
            (to_vec(y), crate::parameters::gradients(pair, &mut found))
        };
        let ((expected, gradients), (found, others)) = (answer(&whole), answer(&packed));
        let close = |a: &[f32], b: &[f32]| {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs()))
        };
        assert!(close(&expected, &found), "{expected:?} {found:?}");
        assert_eq!(gradients.len(), 4);
        for (path, gradient) in gradients {
            let (expected, found) = (to_vec(gradient), to_vec(others[&path].clone()));
            assert!(close(&expected, &found), "{path}: {expected:?} {found:?}");
        }
        let left: Vec<String> = parameters(&packed)
            .into_keys()
            .filter(|path| path.contains("query"))
            .collect();
        assert_eq!(left, ["query.bias", "query.weight.lora.a", "query.weight.lora.b"]);
    }

    #[test]
    fn a_map_that_is_not_there_is_an_error() {
        let init = Init::new(3, &Device::flex());
        let error = config(&["query", "kwery"]).adapt(pair(&init), &init).unwrap_err();
        let expected = "lora.layers: no map is called `kwery`; there are output, query";
        assert_eq!(error.to_string(), expected);
    }
}
