//! The tensors of a checkpoint out of the parameters that they became.

use super::super::labels::OUTPUT;
use super::super::{Architecture, Head, Place, Target};
use crate::checkpoint::{HostTensor, HostTensors};
use std::collections::BTreeMap;

/// What is written of a model.
pub struct Source<'a> {
    /// Each with what the paths of its parameters begin with.
    pub encoders: Vec<(&'a Architecture, String)>,
    pub head: Option<(&'a Head, &'a str)>,
}

impl Source<'_> {
    /// The tensors with these names and `shapes`, of which those are left out that hold nothing of the model. Which
    /// parameters become a tensor says the table by which it is imported.
    ///
    /// # Errors
    /// For a parameter of what is written that no tensor holds, unless the original computes the same without it.
    pub fn take(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        mut parameters: HostTensors,
    ) -> Result<HostTensors, String> {
        let mut tensors = HostTensors::new();
        let shared: Vec<Shared> = shapes.keys().filter_map(|name| self.shared(name)).collect();
        for table in &shared {
            let value = table.paths().find_map(|path| parameters.get(path));
            tensors.extend(value.map(|value| (table.name.clone(), value.clone())));
        }
        for (name, shape) in shapes {
            let Some((paths, joint)) = self.paths(name) else {
                continue;
            };
            let parts = paths.iter().map(|path| {
                let part = parameters.remove(path);
                let part = part.ok_or_else(|| format!("expected the parameter {path} for `{name}`, found none"))?;
                Ok(self.in_classes(path, part))
            });
            let parts = parts.collect::<Result<Vec<HostTensor>, String>>()?;
            tensors.insert(name.clone(), whole(parts, shape, joint));
        }
        for table in &shared {
            table.settle(&mut parameters, &mut tensors);
        }
        self.check_left(&parameters)?;
        Ok(tensors)
    }

    /// What a tensor holds that encoder and head share; none of other tensors.
    fn shared(&self, name: &str) -> Option<Shared> {
        self.encoders.iter().find_map(|(architecture, start)| {
            let Place::Shared { encoder, head, apart } = (architecture.place)(name) else {
                return None;
            };
            let of_head = self.head_of(architecture);
            Some(Shared {
                name: name.into(),
                encoder: format!("{start}{encoder}"),
                head: of_head.map(|start| format!("{start}{head}")),
                apart,
            })
        })
    }

    /// The paths of the parameters that a tensor holds, and how it holds them.
    fn paths(&self, name: &str) -> Option<(Vec<String>, Joint)> {
        let behind = |start: &str, paths: Vec<String>, joint| {
            let paths = paths.iter().map(|path| format!("{start}{path}"));
            Some((paths.collect(), joint))
        };
        self.encoders.iter().find_map(|(architecture, start)| {
            let head = |paths, joint| behind(self.head_of(architecture)?, paths, joint);
            match (architecture.place)(name) {
                Place::Parameter(path) if architecture.leaves_out(&path) => None,
                Place::Parameter(path) => behind(start, vec![path], Joint::None),
                Place::Rows(paths) => behind(start, paths, Joint::Rows),
                Place::Head(path) => head(vec![path], Joint::None),
                Place::Parts(paths) => head(paths, Joint::Columns),
                Place::Shared { .. } | Place::Unused | Place::Known | Place::Unknown => None,
            }
        })
    }

    /// What the paths of the parameters begin with that are told to be an encoder's head: where it meets another encoder, or
    /// what reads them all.
    fn head_of(&self, architecture: &Architecture) -> Option<&str> {
        let (_, path) = self.head?;
        match &architecture.head {
            Head::Joined(_) => architecture.head.path(),
            _ => Some(path),
        }
    }

    /// A parameter of a head of classes with its rows in the order of the checkpoint, where it has a row for each.
    fn in_classes(&self, path: &str, tensor: HostTensor) -> HostTensor {
        let Some((head, start)) = self.head else {
            return tensor;
        };
        let last = path.strip_prefix(start).is_some_and(|path| path.starts_with(OUTPUT));
        match head.order().filter(|_| last) {
            Some(order) => tensor.with_rows(&inverse(&order)),
            None => tensor,
        }
    }

    /// Refuses numbers that would be lost.
    fn check_left(&self, left: &HostTensors) -> Result<(), String> {
        for (place, (architecture, encoder)) in self.encoders.iter().enumerate() {
            let joined = matches!(architecture.head, Head::Joined(_));
            let target = Target {
                encoder: Some(encoder),
                head: self.head_of(architecture).filter(|_| place == 0 || joined),
                fresh: None,
            };
            let mut lost = left.iter().filter(|(path, tensor)| {
                let neutral = || **tensor == HostTensor::neutral(tensor.shape.clone());
                target.takes(path) && !((architecture.lacks)(path) && neutral())
            });
            if let Some((path, _)) = lost.next() {
                return Err(format!(
                    "{path} has learnt what the layout of the checkpoint has no place for"
                ));
            }
        }
        Ok(())
    }
}

/// A tensor that encoder and head have in common.
struct Shared {
    name: String,
    /// The paths of the parameters that it became.
    encoder: String,
    /// None where no head is written.
    head: Option<String>,
    /// What the tensor of the encoder is called where it is another.
    apart: &'static str,
}

impl Shared {
    /// The head's goes before that of the encoder.
    fn paths(&self) -> impl Iterator<Item = &String> {
        self.head.iter().chain([&self.encoder])
    }

    /// Writes the encoder's apart where it has learnt something else since, and no other tensor has it.
    fn settle(&self, parameters: &mut HostTensors, tensors: &mut HostTensors) {
        if let Some(head) = &self.head {
            parameters.remove(head);
        }
        let own = parameters.remove(&self.encoder);
        let other = own.filter(|own| tensors.get(&self.name) != Some(own));
        tensors.extend(other.map(|other| (self.apart.to_string(), other)));
    }
}

/// How a tensor holds several parameters.
#[derive(Clone, Copy)]
enum Joint {
    /// It holds one.
    None,
    /// In parts of its first axis.
    Rows,
    /// In parts of its last axis, turned.
    Columns,
}

/// A tensor of the original's shape.
fn whole(mut parts: Vec<HostTensor>, shape: &[usize], joint: Joint) -> HostTensor {
    let values = match joint {
        Joint::None => parts.swap_remove(0).values,
        Joint::Rows => parts.into_iter().flat_map(|part| part.values).collect(),
        Joint::Columns => return HostTensor::join(&parts, shape.to_vec()),
    };
    HostTensor {
        shape: shape.to_vec(),
        values,
    }
}

/// Where each of some places went.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order
        .iter()
        .enumerate()
        .for_each(|(place, &from)| inverse[from] = place);
    inverse
}
