//! Prepared media that are not prepared again: in memory by their place, on disk by their content.

mod content;
mod disk;
mod entry;
mod memory;

use crate::dataset::InputColumn;
use crate::processors::Shown;
use crate::{DataError, ErrorKind, Feature, Modality, Result, Value, shield::shielded};
use disk::DiskCache;
use memory::Memory;
use std::path::Path;
use std::sync::Arc;

/// The features of media before augmentation, shared by all threads and all rows.
#[derive(Debug)]
pub struct FeatureCache {
    memory: Memory,
    disk: Option<DiskCache>,
}

impl FeatureCache {
    /// Keeps at most `bytes` of features in memory; what does not fit is prepared again each time.
    pub fn in_memory(bytes: usize) -> Self {
        Self {
            memory: Memory::new(bytes),
            disk: None,
        }
    }

    /// Also keeps the features of pictures, sounds and videos in files below `folder`, at most `bytes` of them. Those
    /// used longest ago make room. Any number of processes may share the folder.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the folder cannot be made or read.
    pub fn on_disk(mut self, folder: &Path, bytes: u64) -> Result<Self> {
        self.disk = Some(DiskCache::open(folder, bytes)?);
        Ok(self)
    }

    /// The feature of `value`, which other values of the same `identity` and input share.
    pub(crate) fn prepare(
        &self,
        input: &InputColumn,
        identity: &Arc<str>,
        value: &Value,
        root: &Path,
    ) -> Result<Arc<Feature>> {
        if let Some(feature) = self.memory.get(&input.name, identity) {
            return Ok(feature);
        }
        let feature = Arc::new(self.disk_or_prepared(input, value, root)?);
        self.memory.insert(&input.name, identity, &feature);
        Ok(feature)
    }

    fn disk_or_prepared(&self, input: &InputColumn, value: &Value, root: &Path) -> Result<Feature> {
        // Texts are prepared faster than files are opened.
        let media = input.processor.modality() != Modality::Text;
        let disk = self.disk.as_ref().filter(|_| media);
        let Some((disk, content)) = disk.and_then(|disk| Some((disk, content::hash(value, root)?))) else {
            return prepare(input, value, root);
        };
        let key = disk::key(&input.processor, &content);
        if let Some(feature) = disk.get(&key) {
            return Ok(feature);
        }
        let feature = prepare(input, value, root)?;
        disk.insert(&key, &feature);
        Ok(feature)
    }
}

fn prepare(input: &InputColumn, value: &Value, root: &Path) -> Result<Feature> {
    prepare_about(input, value, root, &Shown::default())
}

/// The feature of a value that asks about what is `shown`. A fault in a processor ends the work on this medium, not the thread
/// that works for a whole run.
pub(crate) fn prepare_about(input: &InputColumn, value: &Value, root: &Path, shown: &Shown) -> Result<Feature> {
    let failed = || {
        let message = "expected a medium that can be processed; the processor failed on it: replace it and report this";
        let error = DataError::new(ErrorKind::Damaged, message);
        match value
            .path(root)
            .filter(|_| input.processor.modality() != Modality::Text)
        {
            Some(path) => error.at_path(&path),
            None => error,
        }
    };
    shielded(|| input.processor.prepare_about(value, root, shown)).unwrap_or_else(|| Err(failed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;

    fn rows() -> Vec<(Option<u8>, Option<&'static str>)> {
        (0..12).map(|row| (Some(row % 5), Some("is it red"))).collect()
    }

    #[test]
    fn a_batch_is_the_same_with_a_cold_and_a_warm_cache() {
        let folder = tempfile::tempdir().unwrap();
        let rows = rows();
        let indices: Vec<usize> = (0..rows.len()).collect();
        let (plain, failed) = dataset(&rows).batch(&indices, None);
        assert!(failed.is_empty());
        for _ in 0..2 {
            let cache = FeatureCache::in_memory(0).on_disk(folder.path(), 1 << 20).unwrap();
            assert_eq!(dataset(&rows).with_cache(cache).batch(&indices, None).0, plain);
        }
        let cached = DiskCache::open(folder.path(), 1 << 20).unwrap();
        assert_eq!(cached.files(), 5, "one for each distinct picture, none for a text");
    }

    #[test]
    fn what_is_on_disk_is_not_prepared_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = dataset(&rows());
        let input = &data.inputs()[0];
        let value = data.samples()[0].get("image");
        let disk = DiskCache::open(folder.path(), 1 << 20).unwrap();
        let other = Feature::Image(entry::tests::picture(9));
        disk.insert(
            &disk::key(&input.processor, &content::hash(value, Path::new("")).unwrap()),
            &other,
        );
        let cache = FeatureCache::in_memory(0).on_disk(folder.path(), 1 << 20).unwrap();
        assert_eq!(*cache.prepare(input, &"a".into(), value, Path::new("")).unwrap(), other);
        let second = data.samples()[1].get("image");
        assert_ne!(
            *cache.prepare(input, &"b".into(), second, Path::new("")).unwrap(),
            other
        );
    }
}
