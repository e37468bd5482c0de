//! An index as a folder that needs nothing else: `run` with the model, `embeddings.safetensors`, `rows.jsonl`, and
//! `index.json`, which is written last.

use super::{Index, IndexedRow};
use crate::checkpoint;
use crate::error::{ModelError, Result};
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use burn::tensor::Device;
use sensorium_data::files;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the layout that this program writes and reads.
const FORMAT: u32 = 1;

/// `index.json`.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// The output whose space this is.
    output: String,
    /// The hash of `rows.jsonl`.
    rows: String,
}

struct Layout<'a>(&'a Path);

impl Layout<'_> {
    fn run(&self) -> RunDirectory {
        RunDirectory::new(self.0.join("run"))
    }

    fn header(&self) -> PathBuf {
        self.0.join("index.json")
    }

    fn rows(&self) -> PathBuf {
        self.0.join("rows.jsonl")
    }

    fn embeddings(&self) -> PathBuf {
        self.0.join("embeddings.safetensors")
    }
}

impl Index {
    /// Writes the index to `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// A folder that is not empty, or that cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<()> {
        if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let message = "the folder is not empty; choose another one, or remove it";
            return Err(ModelError::file(folder, message));
        }
        let layout = Layout(folder);
        files::create_folder(folder)?;
        self.pipeline.save(&layout.run())?;
        checkpoint::save(&self.embeddings, &layout.embeddings())?;
        let line = |row| serde_json::to_string(row).expect("a row of an index is plain data") + "\n";
        let rows: String = self.rows.iter().map(line).collect();
        files::write_atomically(&layout.rows(), rows.as_bytes())?;
        let header = Header {
            format: FORMAT,
            output: self.output.clone(),
            rows: blake3::hash(rows.as_bytes()).to_hex().to_string(),
        };
        let header = serde_json::to_vec_pretty(&header).expect("a header is plain data");
        Ok(files::write_atomically(&layout.header(), &header)?)
    }

    /// Reads what [`save`](Self::save) wrote; anything missing, cut, altered or not belonging together is an error.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let layout = Layout(folder);
        let (path, rows) = (layout.header(), layout.rows());
        if !folder.is_dir() {
            let message = "there is no such index; `sensorium index` makes one";
            return Err(ModelError::file(folder, message));
        }
        let header: Header = serde_json::from_slice(&files::read(&path)?)
            .map_err(|error| ModelError::file(&path, format!("not the description of an index: {error}")))?;
        if header.format != FORMAT {
            let message = format!("format {} is not {FORMAT}, which this program reads", header.format);
            return Err(ModelError::file(&path, message));
        }
        let pipeline = Pipeline::load_packed(&layout.run(), device, Precision::Float32)?;
        let index = Self {
            output: Self::output(&pipeline, Some(&header.output))
                .map_err(|error| altered(&path, &error.to_string()))?,
            rows: read_rows(&rows, &header.rows)?,
            embeddings: checkpoint::load(&layout.embeddings())?,
            pipeline,
        };
        index.check(&layout)?;
        Ok(index)
    }

    /// Every row's media must be there, and all embeddings be as wide as the model's.
    fn check(&self, layout: &Layout) -> Result<()> {
        let widths: Vec<usize> = self
            .embeddings
            .values()
            .filter_map(|one| one.shape.get(1).copied())
            .collect();
        let flat = self.embeddings.values().all(|one| one.shape.len() == 2);
        let one_width = widths.iter().all(|width| *width == self.width());
        if !flat || !one_width {
            return Err(altered(
                &layout.embeddings(),
                "these are not the embeddings of this model",
            ));
        }
        let known = |(input, place): (&String, &usize)| {
            let media = self.embeddings.get(input).map_or(0, |one| one.shape[0]);
            *place < media
        };
        match self.rows.iter().find(|row| !row.media.iter().all(known)) {
            None => Ok(()),
            Some(row) => {
                let message = format!("row {} has no embedding", row.row);
                Err(altered(&layout.rows(), &message))
            }
        }
    }
}

fn read_rows(path: &Path, hash: &str) -> Result<Vec<IndexedRow>> {
    let bytes = files::read(path)?;
    if blake3::hash(&bytes).to_hex().as_str() != hash {
        return Err(altered(path, "the rows do not match their hash"));
    }
    let text = String::from_utf8_lossy(&bytes);
    let rows = text.lines().map(serde_json::from_str);
    let rows: Result<Vec<IndexedRow>, _> = rows.collect();
    rows.map_err(|error| altered(path, &error.to_string()))
}

fn altered(path: &Path, message: &str) -> ModelError {
    ModelError::file(
        path,
        format!("{message}: the file is cut or altered; make the index again"),
    )
}
