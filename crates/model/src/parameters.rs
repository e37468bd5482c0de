//! Reading and changing every parameter of a module by its path, whatever its rank.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Device, FloatDType, Gradients, Shape, Tensor, TensorData};
use std::collections::BTreeMap;

/// One parameter, flattened, without its gradient. A weight that is packed has no numbers, and is none.
pub struct Parameter {
    pub id: ParamId,
    pub shape: Vec<usize>,
    pub values: Tensor<1>,
    /// False for running statistics and frozen parameters.
    pub trainable: bool,
}

/// Every parameter by its path. Names of enum variants are no part of a path, so that a path says what a layer is for
/// and not how it is built.
pub fn parameters<M: Module>(module: &M) -> BTreeMap<String, Parameter> {
    let mut reader = Reader {
        path: Path::default(),
        found: BTreeMap::new(),
    };
    module.visit(&mut reader);
    reader.found
}

/// The shape of every parameter by its path; no values are touched.
pub fn shapes<M: Module>(module: &M) -> BTreeMap<String, Vec<usize>> {
    let mut reader = ShapeReader::default();
    module.visit(&mut reader);
    reader.found
}

/// The gradient of every trainable parameter that took part in the loss, flattened, by its path.
pub fn gradients<M: Module>(module: &M, gradients: &mut Gradients) -> BTreeMap<String, Tensor<1>> {
    let mut reader = GradientReader {
        path: Path::default(),
        gradients,
        found: BTreeMap::new(),
    };
    module.visit(&mut reader);
    reader.found
}

/// Replaces the values of each parameter for which `change` (given its path and flattened values) returns new ones.
pub fn map_parameters<M: Module>(module: M, change: impl FnMut(&str, Tensor<1>) -> Option<Tensor<1>>) -> M {
    module.map(&mut Writer {
        path: Path::default(),
        change,
    })
}

/// Puts flat values, in the type that they have, in the place of those of each parameter for which `find` returns some, given
/// its path; the old ones are not touched.
pub fn set_parameters<M: Module>(module: M, find: impl FnMut(&str) -> Option<TensorData>) -> M {
    module.map(&mut Setter {
        path: Path::default(),
        find,
    })
}

/// The same module with all its parameters in 32 bits.
pub fn widen_parameters<M: Module>(module: M) -> M {
    module.map(&mut Widener)
}

/// The same module, in which the parameters whose path is `wanted` are not trained.
pub fn freeze_parameters<M: Module>(module: M, wanted: impl FnMut(&str) -> bool) -> M {
    module.map(&mut Freezer {
        path: Path::default(),
        wanted,
    })
}

/// Replaces the values of the parameters whose path is `wanted` by what `change` makes of all of them, flattened and
/// by path. While `change` has them the module holds nothing of them, so that it can reuse their storage.
///
/// # Panics
/// If `change` returns other paths or lengths than it was given.
pub fn exchange_parameters<M: Module>(
    module: &mut M,
    wanted: impl Fn(&str) -> bool,
    change: impl FnOnce(BTreeMap<String, Tensor<1>>) -> BTreeMap<String, Tensor<1>>,
) {
    let mut taker = Taker {
        path: Path::default(),
        wanted,
        taken: BTreeMap::new(),
    };
    // The assignment drops the module that shares the values.
    *module = module.clone().map(&mut taker);
    let mut shapes = BTreeMap::new();
    let mut values = BTreeMap::new();
    for (path, parameter) in taker.taken {
        shapes.insert(path.clone(), (parameter.shape, parameter.trainable));
        values.insert(path, parameter.values);
    }
    let mut giver = Giver {
        path: Path::default(),
        shapes,
        values: change(values),
    };
    *module = module.clone().map(&mut giver);
    assert!(giver.values.is_empty(), "parameters come back under their paths");
}

#[derive(Default)]
struct Path(Vec<(String, bool)>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_string(), !container.starts_with("Enum:")));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        let words = self.0.iter().filter(|(_, named)| *named);
        words.map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(".")
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.shape().num_elements();
    tensor.without_autodiff().reshape([count])
}

/// What is left of a packed weight.
fn is_packed<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    param.val().dims().contains(&0)
}

struct Reader {
    path: Path,
    found: BTreeMap<String, Parameter>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_packed(param) {
            return;
        }
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let trainable = tensor.is_require_grad();
        let parameter = Parameter {
            id: param.id,
            shape,
            trainable,
            values: flat(tensor),
        };
        self.found.insert(self.path.name(), parameter);
    }
}

#[derive(Default)]
struct ShapeReader {
    path: Path,
    found: BTreeMap<String, Vec<usize>>,
}

impl ModuleVisitor for ShapeReader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !is_packed(param) {
            self.found.insert(self.path.name(), param.val().dims().to_vec());
        }
    }
}

struct GradientReader<'a> {
    path: Path,
    gradients: &'a mut Gradients,
    found: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for GradientReader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            self.found.insert(self.path.name(), flat(gradient));
        }
    }
}

struct Writer<F> {
    path: Path,
    change: F,
}

impl<F: FnMut(&str, Tensor<1>) -> Option<Tensor<1>>> ModuleMapper for Writer<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if is_packed(&param) {
            return param;
        }
        let Some(new) = (self.change)(&self.path.name(), flat(param.val())) else {
            return param;
        };
        param.map(|old| take_the_place_of(&old, new))
    }
}

struct Setter<F> {
    path: Path,
    find: F,
}

impl<F: FnMut(&str) -> Option<TensorData>> ModuleMapper for Setter<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = (self.find)(&self.path.name()) else {
            return param;
        };
        let dtype = values.dtype();
        let values = |device: Device| Tensor::from_data(values, (&device, dtype));
        param.map(|old| take_the_place_of(&old, values(old.device())))
    }
}

struct Widener;

impl ModuleMapper for Widener {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match param.val().dtype() {
            DType::F32 => param,
            _ => param.map(|values| values.cast(FloatDType::F32)),
        }
    }
}

/// The `new` values in the shape of the `old` ones, trained where these are.
fn take_the_place_of<const D: usize>(old: &Tensor<D>, new: Tensor<1>) -> Tensor<D> {
    let new = new.reshape(old.dims());
    let new = if old.is_autodiff() { new.autodiff() } else { new };
    new.set_require_grad(old.is_require_grad())
}

struct Freezer<F> {
    path: Path,
    wanted: F,
}

impl<F: FnMut(&str) -> bool> ModuleMapper for Freezer<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match (self.wanted)(&self.path.name()) {
            true => param.set_require_grad(false),
            false => param,
        }
    }
}

struct Taker<F> {
    path: Path,
    wanted: F,
    taken: BTreeMap<String, Parameter>,
}

impl<F: Fn(&str) -> bool> ModuleMapper for Taker<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.name();
        if !(self.wanted)(&path) || is_packed(&param) {
            return param;
        }
        let id = param.id;
        param.map(|tensor| {
            let device = tensor.device();
            let parameter = Parameter {
                id,
                shape: tensor.dims().to_vec(),
                trainable: tensor.is_require_grad(),
                values: flat(tensor),
            };
            self.taken.insert(path, parameter);
            Tensor::zeros([1; D], &device)
        })
    }
}

struct Giver {
    path: Path,
    shapes: BTreeMap<String, (Vec<usize>, bool)>,
    values: BTreeMap<String, Tensor<1>>,
}

impl ModuleMapper for Giver {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.name();
        let Some((shape, trainable)) = self.shapes.remove(&path) else {
            return param;
        };
        let values = self.values.remove(&path);
        let values = values.unwrap_or_else(|| panic!("parameter {path} must come back"));
        param.map(|empty| {
            let values = values.reshape::<D, _>(Shape::from(shape));
            let values = if empty.is_autodiff() { values.autodiff() } else { values };
            values.set_require_grad(trainable)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};

    #[derive(Module, Debug)]
    struct Pair {
        first: Linear,
        second: Linear,
    }

    fn values(module: &Pair) -> BTreeMap<String, (Vec<usize>, Vec<f32>, bool)> {
        let host = |parameter: Parameter| {
            let values = parameter.values.into_data().try_to_vec().unwrap();
            (parameter.shape, values, parameter.trainable)
        };
        let all = parameters(module).into_iter();
        all.map(|(path, parameter)| (path, host(parameter))).collect()
    }

    #[test]
    fn what_is_frozen_is_not_trained() {
        let device = Device::flex().autodiff();
        let linear = || LinearConfig::new(2, 3).init(&device);
        let pair = Pair {
            first: linear(),
            second: linear(),
        };
        let frozen = freeze_parameters(pair.clone(), |path| path.starts_with("first."));
        for (path, (shape, found, trainable)) in values(&frozen) {
            let (old_shape, old, _) = &values(&pair)[&path];
            assert_eq!((&shape, &found), (old_shape, old));
            assert_eq!(trainable, path.starts_with("second."), "{path}");
        }
    }

    #[test]
    fn an_exchange_changes_what_is_wanted_and_nothing_else() {
        let device = Device::flex().autodiff();
        let linear = || LinearConfig::new(2, 3).init(&device);
        let mut module = Pair {
            first: linear(),
            second: linear().no_grad(),
        };
        let before = values(&module);
        let wanted = |path: &str| path.ends_with("weight");
        exchange_parameters(&mut module, wanted, |taken| {
            assert_eq!(taken.keys().collect::<Vec<_>>(), ["first.weight", "second.weight"]);
            taken.into_iter().map(|(path, values)| (path, values + 1.0)).collect()
        });
        for (path, (shape, found, trainable)) in values(&module) {
            let (old_shape, old, old_trainable) = &before[&path];
            let moved = if wanted(&path) { 1.0 } else { 0.0 };
            let expected: Vec<f32> = old.iter().map(|value| value + moved).collect();
            assert_eq!((&shape, found, trainable), (old_shape, expected, *old_trainable));
        }
        assert!(module.first.weight.val().is_autodiff());
    }
}
