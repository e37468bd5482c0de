//! A training step as the trainer takes it: forward, backward, AdamW, running statistics.

use super::Step;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sensorium_data::random::Key;
use sensorium_model::{Pass, absorb_statistics, gradients};
use sensorium_train::optimizer::{self, AdamWConfig, Optimizer, OptimizerConfig};

const CONFIG: AdamWConfig = AdamWConfig {
    learning_rate: 1e-4,
    betas: [0.9, 0.999],
    epsilon: 1e-8,
    weight_decay: 0.01,
};

/// The device that parameters in training live on.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// Steps of AdamW on the mean of what `loss` returns.
pub fn steps<M: Module + 'static>(model: M, loss: impl Fn(&M, &Pass) -> Tensor<1> + Send + 'static) -> Step {
    let mut optimizer = Optimizer::new(OptimizerConfig::AdamW(CONFIG), &model);
    let (mut model, mut count) = (Some(model), 0);
    Box::new(move || {
        count += 1;
        let mut current = model.take().expect("every step puts the model back");
        let pass = Pass::training(Key::new(0).at(count));
        let loss = loss(&current, &pass).mean();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let gradients = gradients(&current, &mut loss.backward());
        let step = optimizer::Step {
            learning_rate: CONFIG.learning_rate,
            number: count,
            gradient_scale: 1.0,
        };
        optimizer.step(&mut current, &gradients, step);
        model = Some(absorb_statistics(current, &pass.into_statistics()));
        value
    })
}
