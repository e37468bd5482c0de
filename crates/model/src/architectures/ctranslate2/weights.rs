//! CTranslate2's file of weights, version 6: variables one after the other, each behind its name, shape and type.

use crate::error::{ModelError, Result};
use crate::float::Float;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const VERSION: u32 = 6;
/// More axes than any tensor of a model has.
const MOST_AXES: u8 = 8;

/// A variable, whose numbers stay in the file.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    pub shape: Vec<usize>,
    kind: Kind,
    /// Where its numbers begin in the file, and how many bytes they take.
    offset: u64,
    bytes: u64,
}

/// The types of numbers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Floating(Float),
    /// Whole numbers of so many bytes.
    Whole(u64),
}

/// What a file of weights holds.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    file: File,
    /// The kind of model.
    pub specification: String,
    /// In the file's order, and behind them those that are other names for one of them.
    pub variables: Vec<Variable>,
}

impl Weights {
    /// Reads all but the numbers. What the file declares is compared with its length before memory is asked for.
    ///
    /// # Errors
    /// For a file that is cut, forged or of another version.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |error: std::io::Error| ModelError::io(&error, path);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut header = Header {
            bytes: BufReader::new(file.try_clone().map_err(io)?),
            place: 0,
            length,
        };
        let (specification, variables) = header.read().map_err(|found| {
            let message = format!(
                "expected the weights of CTranslate2, found {found} at byte {}; fetch the file again",
                header.place
            );
            ModelError::file(path, message)
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            specification,
            variables,
        })
    }

    /// How many blocks of layers the encoder or the decoder has.
    pub fn layers(&self, side: &str) -> usize {
        let prefix = format!("{side}/layer_");
        let names = self
            .variables
            .iter()
            .filter_map(|variable| variable.name.strip_prefix(&prefix));
        let layers = names.filter_map(|name| name.split_once('/')?.0.parse::<usize>().ok());
        layers.collect::<BTreeSet<_>>().len()
    }

    /// The extent of an axis of a variable.
    pub fn size(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = &self.find(name)?.shape;
        let none = || self.wrong(format!("`{name}`: expected {} axes or more, found {shape:?}", axis + 1));
        shape.get(axis).copied().ok_or_else(none)
    }

    /// The whole number that a setting is.
    pub fn number(&self, name: &str) -> Result<i64> {
        let setting = self.find(name)?;
        if !setting.shape.is_empty() || !matches!(setting.kind, Kind::Whole(_)) {
            return Err(self.wrong(format!(
                "`{name}`: expected one whole number, found {:?}",
                setting.shape
            )));
        }
        let bytes = self.bytes(setting)?;
        let sign = if bytes.last().is_some_and(|last| *last > 127) {
            -1
        } else {
            0
        };
        Ok(bytes
            .iter()
            .rev()
            .fold(sign, |number, &byte| (number << 8) | i64::from(byte)))
    }

    /// The numbers of a variable.
    pub fn values(&self, variable: &Variable) -> Result<Vec<f32>> {
        match variable.kind {
            Kind::Floating(float) => {
                let mut values = Vec::new();
                float.read(&self.bytes(variable)?, &mut values);
                Ok(values)
            }
            Kind::Whole(bytes) => Err(self.whole(variable, bytes)),
        }
    }

    /// # Errors
    /// Where a map was brought to whole numbers.
    pub fn check_floating(&self) -> Result<()> {
        let maps = self
            .variables
            .iter()
            .filter(|variable| variable.name.ends_with("/weight"));
        for variable in maps {
            if let Kind::Whole(bytes) = variable.kind {
                return Err(self.whole(variable, bytes));
            }
        }
        Ok(())
    }

    fn whole(&self, variable: &Variable, bytes: u64) -> ModelError {
        let (name, bits) = (&variable.name, 8 * bytes);
        self.wrong(format!(
            "`{name}` has whole numbers of {bits} bits; expected float32, float16 or bfloat16: convert the model with \
             `--quantization float16`"
        ))
    }

    /// This file's error.
    pub fn wrong(&self, message: impl Into<String>) -> ModelError {
        ModelError::file(&self.path, message)
    }

    fn find(&self, name: &str) -> Result<&Variable> {
        let found = self.variables.iter().find(|variable| variable.name == name);
        found.ok_or_else(|| self.wrong(format!("expected a variable `{name}`, found none")))
    }

    fn bytes(&self, variable: &Variable) -> Result<Vec<u8>> {
        let mut bytes = vec![0; variable.bytes as usize];
        let read = self.file.read_exact_at(&mut bytes, variable.offset);
        read.map_err(|error| ModelError::io(&error, &self.path))?;
        Ok(bytes)
    }
}

/// A file that is read from its beginning; an error is what was found in the place of what was expected.
struct Header {
    bytes: BufReader<File>,
    place: u64,
    length: u64,
}

impl Header {
    fn read(&mut self) -> Result<(String, Vec<Variable>), String> {
        let version = self.number::<4>()?;
        if version != u64::from(VERSION) {
            return Err(format!("version {version} and not {VERSION}"));
        }
        let specification = self.text()?;
        let _revision = self.number::<4>()?;
        let count = self.number::<4>()?;
        // Nothing is set aside for a count that may be forged: each variable must be there.
        let mut variables = Vec::new();
        for _ in 0..count {
            variables.push(self.variable()?);
        }
        for _ in 0..self.number::<4>()? {
            let (alias, name) = (self.text()?, self.text()?);
            let same = variables.iter().find(|variable| variable.name == name).cloned();
            let same = same.ok_or_else(|| format!("another name for `{name}`, which is not there,"))?;
            variables.push(Variable { name: alias, ..same });
        }
        match self.length - self.place {
            0 => Ok((specification, variables)),
            left => Err(format!("{left} bytes behind the last variable")),
        }
    }

    /// One variable, whose numbers are passed over.
    fn variable(&mut self) -> Result<Variable, String> {
        let name = self.text()?;
        let axes = self.number::<1>()? as u8;
        if axes > MOST_AXES {
            return Err(format!("a variable `{name}` of {axes} axes"));
        }
        let extents = (0..axes)
            .map(|_| self.number::<4>())
            .collect::<Result<Vec<u64>, String>>()?;
        let kind = Kind::new(self.number::<1>()?)?;
        let bytes = self.number::<4>()?;
        let count = extents
            .iter()
            .try_fold(kind.size(), |count, &extent| count.checked_mul(extent));
        if count != Some(bytes) {
            return Err(format!("a variable `{name}` of the shape {extents:?} in {bytes} bytes"));
        }
        let offset = self.place;
        self.pass(bytes)?;
        Ok(Variable {
            name,
            shape: extents.into_iter().map(|extent| extent as usize).collect(),
            kind,
            offset,
            bytes,
        })
    }

    /// A text behind its length, with a zero at its end.
    fn text(&mut self) -> Result<String, String> {
        let length = self.number::<2>()?;
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        match bytes.pop() {
            Some(0) => String::from_utf8(bytes).map_err(|_| "a name that is not UTF-8".into()),
            _ => Err("a name without an end".into()),
        }
    }

    /// A number of so many bytes, the lowest first.
    fn number<const BYTES: usize>(&mut self) -> Result<u64, String> {
        let mut bytes = [0; BYTES];
        self.fill(&mut bytes)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| (number << 8) | u64::from(byte)))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.check(bytes.len() as u64)?;
        self.bytes.read_exact(bytes).map_err(|error| error.to_string())?;
        self.place += bytes.len() as u64;
        Ok(())
    }

    fn pass(&mut self, bytes: u64) -> Result<(), String> {
        self.check(bytes)?;
        self.bytes
            .seek_relative(bytes as i64)
            .map_err(|error| error.to_string())?;
        self.place += bytes;
        Ok(())
    }

    fn check(&self, bytes: u64) -> Result<(), String> {
        match bytes <= self.length - self.place {
            true => Ok(()),
            false => Err(format!("the end of the file where {bytes} bytes more are declared")),
        }
    }
}

impl Kind {
    fn new(number: u64) -> Result<Self, String> {
        Ok(match number {
            0 => Self::Floating(Float::Single),
            1 => Self::Whole(1),
            2 => Self::Whole(2),
            3 => Self::Whole(4),
            4 => Self::Floating(Float::Half),
            5 => Self::Floating(Float::Brain),
            other => return Err(format!("the type {other}")),
        })
    }

    /// The bytes of a number.
    fn size(self) -> u64 {
        match self {
            Self::Floating(Float::Single) => 4,
            Self::Floating(Float::Half | Float::Brain) => 2,
            Self::Whole(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> Vec<u8> {
        [&(content.len() as u16 + 1).to_le_bytes(), content.as_bytes(), &[0]].concat()
    }

    fn variable(name: &str, shape: &[u32], kind: u8, bytes: &[u8]) -> Vec<u8> {
        let extents: Vec<u8> = shape.iter().flat_map(|extent| extent.to_le_bytes()).collect();
        let length = (bytes.len() as u32).to_le_bytes();
        [&text(name)[..], &[shape.len() as u8], &extents, &[kind], &length, bytes].concat()
    }

    /// A matrix, a setting of -2, a vector of 16 bits, and another name for the matrix.
    fn file() -> Vec<u8> {
        let matrix: Vec<u8> = (0..6).flat_map(|value| (value as f32).to_le_bytes()).collect();
        [
            &6u32.to_le_bytes()[..],
            &text("WhisperSpec"),
            &3u32.to_le_bytes(),
            &3u32.to_le_bytes(),
            &variable("encoder/layer_0/a", &[2, 3], 0, &matrix),
            &variable("setting", &[], 2, &(-2i16).to_le_bytes()),
            &variable("encoder/layer_1/b", &[2], 4, &[0x00, 0x3c, 0x00, 0xc0]),
            &1u32.to_le_bytes(),
            &text("same"),
            &text("encoder/layer_0/a"),
        ]
        .concat()
    }

    fn open(bytes: &[u8]) -> Result<Weights> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, bytes).unwrap();
        Weights::open(&path)
    }

    #[test]
    fn variables_are_found_by_name() {
        let weights = open(&file()).unwrap();
        assert_eq!(weights.specification, "WhisperSpec");
        assert_eq!((weights.layers("encoder"), weights.layers("decoder")), (2, 0));
        assert_eq!(weights.number("setting").unwrap(), -2);
        assert_eq!(weights.size("same", 1).unwrap(), 3);
        let values = |name| weights.values(weights.find(name).unwrap()).unwrap();
        assert_eq!(values("same"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(values("encoder/layer_1/b"), [1.0, -2.0]);
        let setting = weights.find("setting").unwrap();
        let error = weights.values(setting).unwrap_err().to_string();
        assert!(error.contains("16 bits") && error.contains("float16"), "{error}");
        for (name, axis) in [("same", 2), ("absent", 0)] {
            assert!(weights.size(name, axis).is_err());
        }
        assert!(weights.number("same").is_err());
    }

    #[test]
    fn what_is_cut_or_forged_is_refused() {
        let good = file();
        for length in 0..good.len() {
            assert!(
                open(&good[..length]).is_err(),
                "a file cut to {length} bytes was accepted"
            );
        }
        assert!(open(&[&good[..], &[0]].concat()).is_err());
        let check = |place: usize, bytes: &[u8], words: &str| {
            let mut forged = good.clone();
            forged[place..place + bytes.len()].copy_from_slice(bytes);
            let error = open(&forged).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let matrix = 4 + 14 + 4 + 4 + 20;
        check(0, &[5], "version 5 and not 6");
        check(
            4,
            &[0xff, 0xff],
            "the end of the file where 65535 bytes more are declared",
        );
        check(4 + 14 + 4, &[0xff; 4], "a variable ``");
        check(matrix, &[9], "of 9 axes");
        check(matrix + 1, &[0xff; 8], "in 24 bytes");
        check(matrix + 9, &[7], "the type 7");
        check(matrix + 10, &[0xff; 4], "in 4294967295 bytes");
        check(good.len() - 2, b"c", "which is not there");
    }

    #[test]
    fn maps_of_whole_numbers_are_refused_by_name() {
        let file = [
            &6u32.to_le_bytes()[..],
            &text("WhisperSpec"),
            &3u32.to_le_bytes(),
            &1u32.to_le_bytes(),
            &variable("a/weight", &[2], 1, &[1, 2]),
            &0u32.to_le_bytes(),
        ];
        let error = open(&file.concat()).unwrap().check_floating().unwrap_err().to_string();
        assert!(error.contains("`a/weight` has whole numbers of 8 bits"), "{error}");
    }

    #[test]
    fn no_altered_byte_brings_it_down() {
        let good = file();
        for (place, change) in (0..good.len()).flat_map(|place| [0x01, 0x80, 0xff].map(|change| (place, change))) {
            let mut altered = good.clone();
            altered[place] ^= change;
            let Ok(weights) = open(&altered) else { continue };
            for variable in &weights.variables {
                let count: usize = variable.shape.iter().product();
                if let Ok(values) = weights.values(variable) {
                    assert_eq!(values.len(), count, "byte {place}, {}", variable.name);
                }
            }
        }
    }
}
