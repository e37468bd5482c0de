//! Weights that stay as they are and are held in few bits in training: no checkpoint has them, the run has them whole.

use super::fill;
use crate::error::Result;
use crate::plan::Plan;
use sensorium_model::checkpoint::{HostTensors, to_host};
use sensorium_model::{Device, Model};

/// The same model with the weights that are not trained in the few bits that the recipe asks for, on a CPU.
pub(crate) fn hold(plan: &Plan, model: Model, device: &Device) -> Model {
    match device.clone().without_autodiff() == Device::flex() {
        true => model.hold(&plan.description.model),
        false => model,
    }
}

/// The parameters of a model of the plan and, for the weights that it holds in few bits, what these stand for: such weights are
/// read anew.
pub(crate) fn whole(plan: &Plan, model: &Model) -> Result<HostTensors> {
    let mut tensors = to_host(model);
    if plan.description.model.holds() {
        let read = to_host(&fill(&plan.recipe, blank(plan, &Device::flex())?)?).into_iter();
        let held: Vec<_> = read.filter(|(path, _)| !tensors.contains_key(path)).collect();
        for (path, tensor) in held {
            let precision = plan.description.model.held(&path);
            tensors.insert(
                path,
                tensor.rounded(precision.expect("only what is held is no parameter")),
            );
        }
    }
    Ok(tensors)
}

/// A model of the plan, whose parameters are put in afterwards.
pub(crate) fn blank(plan: &Plan, device: &Device) -> Result<Model> {
    Ok(Model::blank(&plan.description.model, &plan.shapes(), device)?)
}
