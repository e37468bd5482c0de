//! Fashion-MNIST: small grey pictures of clothes (Xiao, Rasul and Vollgraf, 2017).

use super::archives::{self, Limits};
use super::fetch::write_rows;
use super::packages::{Client, Package};
use super::{Entry, Progress, packages};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result, files};
use flate2::read::GzDecoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Debian,
    name: "dataset-fashion-mnist",
    version: "0.0~git20200523.55506a9-1",
    sha256: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    bytes: 30_900_652,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "fashion-mnist",
    description: "70,000 grey pictures of 28x28 of clothes, shoes and bags in ten classes",
    licence: "MIT",
    bytes: packages::bytes(&PACKAGES),
    rows: 70_000,
    tasks: &["image classification"],
    source: "Debian package dataset-fashion-mnist",
    packages: &PACKAGES,
    version: "fashion-mnist-1",
    build,
};

const LIMITS: Limits = Limits {
    files: 1000,
    file_bytes: 64 << 20,
    total_bytes: 128 << 20,
};
/// The most bytes that a file of the package may unpack to; the largest has 47 million.
const LARGEST: u64 = 64 << 20;

const FILES: [&str; 4] = [
    "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
    "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz",
    "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz",
    "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz",
];

const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// The fraction of the training pictures that validate.
const VALIDATION: f64 = 0.05;
/// How many pictures are written between two reports of progress.
const STEP: usize = 1000;

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let [train, train_labels, test, test_labels] = archives::files(&packages[0], LIMITS, FILES)?;
    let mut rows = Vec::new();
    for (part, pictures, labels) in [("train", train, train_labels), ("test", test, test_labels)] {
        let part = Part {
            name: part,
            pictures: Idx::read(&pictures, 3)?,
            labels: Idx::read(&labels, 1)?,
        };
        rows.extend(part.write(folder, progress)?);
    }
    write_rows(folder, rows)
}

/// Bytes in several dimensions, in the format of MNIST.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Idx {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Idx {
    /// Reads a gzipped file: two zeros, 8 for unsigned bytes, the number of dimensions, the length of
    /// each (four bytes, the highest first), and the bytes.
    pub(crate) fn read(gzip: &[u8], dimensions: usize) -> Result<Self> {
        let mut file = Vec::new();
        let read = GzDecoder::new(gzip).take(LARGEST + 1).read_to_end(&mut file);
        read.map_err(|error| damaged(&format!("a gzip file that ends early: {error}")))?;
        if file.len() as u64 > LARGEST {
            let message = format!("expected at most {LARGEST} unpacked bytes, found more");
            return Err(DataError::new(ErrorKind::TooLarge, message));
        }
        let header = [&[0, 0, 8, dimensions as u8][..], &vec![0; 4 * dimensions]].concat();
        let Some((found, bytes)) = file.split_at_checked(header.len()) else {
            return Err(damaged("a shorter header"));
        };
        if found[..4] != header[..4] {
            return Err(damaged("another header"));
        }
        let lengths = found[4..].chunks_exact(4);
        let shape: Vec<usize> = lengths
            .map(|bytes| bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
            .collect();
        let size = shape.iter().try_fold(1_usize, |size, length| size.checked_mul(*length));
        match size == Some(bytes.len()) {
            true => Ok(Self {
                shape,
                bytes: bytes.to_vec(),
            }),
            false => Err(damaged(&format!("{} bytes for the lengths {shape:?}", bytes.len()))),
        }
    }
}

fn damaged(found: &str) -> DataError {
    let message = format!("expected a file of unsigned bytes in the IDX format, found {found}");
    DataError::new(ErrorKind::Damaged, message)
}

#[derive(Debug, Serialize)]
struct Row {
    image: String,
    label: &'static str,
    split: Split,
}

/// The package's training or test part.
struct Part {
    name: &'static str,
    /// [picture, row, column]
    pictures: Idx,
    labels: Idx,
}

impl Part {
    /// Writes the pictures as PNG files.
    fn write(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Row>> {
        let count = self.labels.bytes.len();
        if self.pictures.shape[0] != count || self.pictures.bytes.is_empty() {
            let found = format!("{:?} pictures with {count} labels", self.pictures.shape);
            return Err(damaged(&found));
        }
        files::create_folder(&folder.join("images").join(self.name))?;
        let mut rows = Vec::with_capacity(count);
        for start in (0..count).step_by(STEP) {
            progress(Progress::new("writing pictures", start, Some(count)));
            let step = (start..count.min(start + STEP)).into_par_iter();
            let written: Vec<Row> = step
                .map(|index| self.write_picture(index, folder))
                .collect::<Result<_>>()?;
            rows.extend(written);
        }
        Ok(rows)
    }

    fn write_picture(&self, index: usize, folder: &Path) -> Result<Row> {
        let (height, width) = (self.pictures.shape[1], self.pictures.shape[2]);
        let pixels = &self.pictures.bytes[index * height * width..][..height * width];
        let class = usize::from(self.labels.bytes[index]);
        let label = CLASSES
            .get(class)
            .ok_or_else(|| damaged(&format!("the class {class}")).at_row(index))?;
        let image = format!("images/{}/{index:05}.png", self.name);
        let mut png = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive);
        encoder
            .write_image(pixels, width as u32, height as u32, ExtendedColorType::L8)
            .map_err(|error| damaged(&format!("a picture that cannot be encoded: {error}")).at_row(index))?;
        let path = folder.join(&image);
        std::fs::write(&path, png).map_err(|error| DataError::io(&error, &path))?;
        Ok(Row {
            image,
            label,
            split: self.split(index)?,
        })
    }

    /// The package's own test part stays the test split.
    fn split(&self, index: usize) -> Result<Split> {
        if self.name == "test" {
            return Ok(Split::Test);
        }
        let key = Key::new(0).with("fashion-mnist").at(index as u64);
        Ok(Fractions::new(1.0 - VALIDATION, VALIDATION, 0.0)?.draw(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
        let lengths = shape.iter().flat_map(|length| length.to_be_bytes());
        let header = [0, 0, 8, shape.len() as u8].into_iter().chain(lengths);
        header.chain(bytes.iter().copied()).collect()
    }

    fn check_refused(file: &[u8], part: &str) {
        let error = Idx::read(&gzip(file), 1).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert!(error.message.contains(part), "{error}");
    }

    #[test]
    fn files_that_contradict_themselves_are_refused() {
        let whole = idx(&[3], b"abc");
        let read = Idx::read(&gzip(&whole), 1).unwrap();
        assert_eq!((read.shape, read.bytes), (vec![3], b"abc".to_vec()));
        check_refused(&whole[..5], "shorter header");
        check_refused(&whole[..10], "2 bytes for the lengths [3]");
        check_refused(&idx(&[3, 1], b"abc"), "another header");
        check_refused(&idx(&[u32::MAX], b"abc"), "4294967295");
        let packed = gzip(&whole);
        assert!(Idx::read(&packed[..packed.len() - 9], 1).is_err());
    }

    fn part(labels: &[u8], pictures: u32) -> Part {
        let pixels: Vec<u8> = (0..pictures * 6).map(|pixel| pixel as u8).collect();
        Part {
            name: "train",
            pictures: Idx::read(&gzip(&idx(&[pictures, 2, 3], &pixels)), 3).unwrap(),
            labels: Idx::read(&gzip(&idx(&[labels.len() as u32], labels)), 1).unwrap(),
        }
    }

    #[test]
    fn pictures_keep_their_pixels_and_labels() {
        let folder = tempfile::tempdir().unwrap();
        let rows = part(&[9, 0], 2).write(folder.path(), &mut |_| {}).unwrap();
        let labels: Vec<&str> = rows.iter().map(|row| row.label).collect();
        assert_eq!(labels, ["ankle boot", "T-shirt/top"]);
        let picture = image::open(folder.path().join(&rows[1].image)).unwrap().into_luma8();
        assert_eq!(picture.dimensions(), (3, 2));
        assert_eq!(picture.into_raw(), [6, 7, 8, 9, 10, 11]);
        for (labels, pictures) in [(&[9, 0][..], 1), (&[10], 1), (&[], 0)] {
            let error = part(labels, pictures).write(folder.path(), &mut |_| {}).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
        }
    }

    #[test]
    fn one_training_picture_in_twenty_validates() {
        let part = part(&[1], 1);
        let validating = (0..10_000).filter(|index| part.split(*index).unwrap() == Split::Validation);
        assert!((420..580).contains(&validating.count()));
        assert_eq!(Part { name: "test", ..part }.split(0).unwrap(), Split::Test);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0_u8..10, 0..40), dimensions in 1_usize..4) {
            let _ = Idx::read(&gzip(&bytes), dimensions);
            let _ = Idx::read(&bytes, dimensions);
        }
    }
}
