//! Modules by name: the inputs and outputs of a model.

use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::tensor::Device;

/// A list of named modules in the order of their names; the name is part of the parameter path.
#[derive(Debug, Clone)]
pub struct Named<M>(Vec<(String, M)>);

impl<M> Named<M> {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &M)> {
        self.0.iter().map(|(name, module)| (name.as_str(), module))
    }

    pub fn get(&self, name: &str) -> Option<&M> {
        self.iter().find(|(found, _)| *found == name).map(|(_, module)| module)
    }
}

impl<M> FromIterator<(String, M)> for Named<M> {
    fn from_iter<I: IntoIterator<Item = (String, M)>>(modules: I) -> Self {
        Self(modules.into_iter().collect())
    }
}

impl<M: Module> Named<M> {
    pub fn convert(self, mut change: impl FnMut(M) -> M) -> Self {
        self.convert_by_name(|_, module| change(module))
    }

    pub fn convert_by_name(self, mut change: impl FnMut(&str, M) -> M) -> Self {
        let changed = self.0.into_iter().map(|(name, module)| {
            let module = change(&name, module);
            (name, module)
        });
        changed.collect()
    }
}

impl<M: Module> Module for Named<M> {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, module) in &self.0 {
            visitor.enter_module(name, "Named");
            module.visit(visitor);
            visitor.exit_module(name, "Named");
        }
    }

    fn map<P: ModuleMapper>(self, mapper: &mut P) -> Self {
        let map = |(name, module): (String, M)| {
            mapper.enter_module(&name, "Named");
            let module = module.map(mapper);
            mapper.exit_module(&name, "Named");
            (name, module)
        };
        self.0.into_iter().map(map).collect()
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0
            .iter()
            .fold(devices, |devices, (_, module)| module.collect_devices(devices))
    }

    fn to_device(self, device: &Device) -> Self {
        self.convert(|module| module.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        self.convert(|module| module.fork(device))
    }

    fn valid(&self) -> Self {
        self.0
            .iter()
            .map(|(name, module)| (name.clone(), module.valid()))
            .collect()
    }

    fn train(self) -> Self {
        self.convert(Module::train)
    }

    fn materialize(self) -> Self {
        self.convert(Module::materialize)
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Named<M> {
    fn content(&self, content: Content) -> Option<Content> {
        self.0
            .iter()
            .fold(content, |content, (name, module)| content.add(name, module))
            .optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Named<M> {}
