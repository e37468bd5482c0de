//! One preprocessing path: the same medium gives identical tensors from a file, an upload, an archive, a stream and a
//! cache, with the processor that training fitted and with the one that a run directory stores.

use sensorium_data::shards::Shuffle;
use sensorium_data::{
    Batch, Collated, Dataset, FeatureCache, InputColumn, Loader, Manifest, Processor, Sample, TrainingStream, Value,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Modality, settings, and a file under `reference`.
const MEDIA: [(&str, &str, &str); 7] = [
    (
        "image",
        r#""size":[24,20],"mean":[0.48,0.46,0.41]"#,
        "pictures/jpeg_420.jpg",
    ),
    (
        "image",
        r#""size":32,"resize":"letterbox","decode":"fast""#,
        "pictures/animated.webp",
    ),
    ("audio", r#""max_seconds":9"#, "audio/stereo.mp3"),
    (
        "audio",
        r#""sample_rate":8000,"features":{"kind":"filter_bank"}"#,
        "audio/speech.opus",
    ),
    ("video", r#""size":16,"frames":3"#, "pictures/animated.gif"),
    ("video", r#""size":16,"frames":3"#, "video/h264.mp4"),
    ("text", r#""tokenizer":{"kind":"word"}"#, ""),
];

const TEXTS: [&str; 2] = ["What is it?", "is it RED"];

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference")
}

fn input(processor: &Processor, column: &str) -> Vec<InputColumn> {
    vec![InputColumn {
        name: "medium".into(),
        column: column.into(),
        processor: processor.clone(),
    }]
}

fn tensors(batch: &Batch) -> Collated {
    batch.inputs["medium"].media.clone().unwrap()
}

/// What a data set of one row gives.
fn of_value(processor: &Processor, value: Value, cache: FeatureCache) -> Collated {
    let sample = Sample {
        row: 0,
        values: [("medium".to_string(), value)].into(),
    };
    let data = Dataset::new(vec![sample], reference(), input(processor, "medium"), Vec::new()).with_cache(cache);
    let (batch, failed) = data.batch(&[0], None);
    assert!(failed.is_empty(), "{failed:?}");
    tensors(&batch)
}

/// A tar archive of one file.
fn shard(folder: &Path, bytes: &[u8], extension: &str) -> PathBuf {
    let mut header = [0u8; 512];
    let name = format!("sample.{extension}");
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    write!(&mut header[124..136], "{:011o}", bytes.len()).unwrap();
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    write!(&mut header[148..155], "{sum:06o}\0").unwrap();
    let padding = vec![0; bytes.len().next_multiple_of(512) - bytes.len() + 1024];
    let path = folder.join("train-000.tar");
    std::fs::write(&path, [header.as_slice(), bytes, &padding].concat()).unwrap();
    path
}

/// The same medium out of a shard, through a manifest and through a stream.
fn of_shard(processor: &Processor, folder: &Path, bytes: &[u8], extension: &str) -> [Collated; 2] {
    let path = shard(folder, bytes, extension);
    let manifest = Manifest::open(&path).unwrap();
    let inputs = input(processor, extension);
    let data = Arc::new(Dataset::new(manifest.samples, manifest.root, inputs, Vec::new()));
    let split = serde_json::from_str(r#"{"train":1.0}"#).unwrap();
    let (_, stream) = TrainingStream::open(&path, Some(&split), 1, &[]).unwrap();
    let portions = stream.portions(Shuffle::new(1, 0), None, 1).unwrap();
    let streamed = Loader::streaming(&data, portions, None, 2).next().unwrap();
    [tensors(&data.batch(&[0], None).0), tensors(&streamed.batch)]
}

fn check(modality: &str, settings: &str, file: &str) {
    let config = format!(r#"{{"modality":"{modality}",{settings}}}"#);
    let trained = Processor::fit(&serde_json::from_str(&config).unwrap(), &TEXTS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    trained.save(folder.path(), "medium").unwrap();
    let stored = Processor::load(folder.path(), "medium").unwrap();
    assert_eq!(trained.hash(), stored.hash());
    let plain = || FeatureCache::in_memory(0);
    let value = || Value::Text(if modality == "text" { TEXTS[1] } else { file }.to_string());
    let expected = of_value(&trained, value(), plain());
    assert_eq!(of_value(&stored, value(), plain()), expected, "{config}: stored");
    for _ in 0..2 {
        let cache = FeatureCache::in_memory(1 << 20).on_disk(&folder.path().join("cache"), 1 << 30);
        assert_eq!(of_value(&stored, value(), cache.unwrap()), expected, "{config}: cached");
    }
    if modality == "text" {
        return;
    }
    let bytes = std::fs::read(reference().join(file)).unwrap();
    let upload = Value::Bytes(bytes.as_slice().into());
    assert_eq!(of_value(&stored, upload, plain()), expected, "{config}: uploaded");
    let extension = file.rsplit('.').next().unwrap();
    for found in of_shard(&stored, folder.path(), &bytes, extension) {
        assert_eq!(found, expected, "{config}: in a shard");
    }
}

#[test]
fn a_medium_gives_the_same_tensors_wherever_it_comes_from() {
    for (modality, settings, file) in MEDIA {
        check(modality, settings, file);
    }
}
