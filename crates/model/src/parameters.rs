//! Reading and changing every parameter of a module by its path, whatever its rank.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use std::collections::BTreeMap;

/// One parameter, flattened, without its gradient.
pub struct Parameter {
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
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let trainable = tensor.is_require_grad();
        let parameter = Parameter {
            shape,
            trainable,
            values: flat(tensor),
        };
        self.found.insert(self.path.name(), parameter);
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
        let old = param.val();
        let Some(new) = (self.change)(&self.path.name(), flat(old.clone())) else {
            return param;
        };
        let new = new.reshape(old.dims());
        let new = if old.is_autodiff() { new.autodiff() } else { new };
        param.map(|_| new.set_require_grad(old.is_require_grad()))
    }
}
