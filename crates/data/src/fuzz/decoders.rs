//! Every decoder with the golden files that its inputs grow from.
//!
//! Videos are decoded by a child process, which is too slow for this: here their containers are
//! walked, and `processors/video/container.rs` decodes some dozens of altered ones.

use super::parts::{self, Grammar};
use super::seal::{self, Seal};
use crate::Result;
use crate::catalogue::fashion_mnist::Idx;
use crate::manifest::{Manifest, archived};
use crate::processors::audio;
use crate::processors::image::{self, Decode, ImageConfig, Size};
use crate::processors::video::format::{Animation, Container};
use crate::processors::video::{VideoConfig, animation, complete};
use crate::shards::{ShardIndex, ShardSet, tests as shards};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a mutated input is put into; fails as the decoder does, and panics where it should not.
type Read = Box<dyn Fn(&[u8]) -> Result<()> + Send + Sync>;

pub struct Decoder {
    pub name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub grammar: Grammar,
    pub seal: Seal,
    pub read: Read,
}

/// All decoders in the order in which they are tried.
pub fn all() -> Vec<Decoder> {
    [pictures(), animations(), sounds(), walks(), manifests(), sets()]
        .into_iter()
        .flatten()
        .collect()
}

fn decoder(name: &'static str, seeds: Vec<Vec<u8>>, grammar: Grammar, seal: Seal, read: Read) -> Decoder {
    assert!(!seeds.is_empty(), "{name} has no golden file");
    Decoder {
        name,
        seeds,
        grammar,
        seal,
        read,
    }
}

/// The golden files of a folder whose names end in one of `endings`, small ones that decode fast.
fn golden(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../reference")
        .join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .filter(|bytes| bytes.len() < 20_000)
        .collect()
}

fn pictures() -> Vec<Decoder> {
    use ::image::ImageFormat::{Bmp, Png, Tiff, WebP};
    let still = |name, endings: &[&str], grammar, seal, format: Option<::image::ImageFormat>| {
        let mut seeds = golden("pictures", endings);
        seeds.extend(format.map(coloured));
        decoder(name, seeds, grammar, seal, Box::new(picture))
    };
    vec![
        still("jpeg", &[".jpg"], parts::jpeg, seal::none, None),
        still("png", &[".png"], parts::png, seal::png, Some(Png)),
        still("gif", &[".gif"], parts::gif, seal::none, None),
        still("webp", &[".webp"], parts::riff, seal::none, Some(WebP)),
        still("bmp", &[".bmp"], parts::every::<4>, seal::none, Some(Bmp)),
        still("tiff", &[".tiff"], parts::every::<12>, seal::none, Some(Tiff)),
        #[cfg(feature = "svg")]
        decoder(
            "svg",
            golden("svg", &[".svg"]),
            parts::every::<16>,
            seal::none,
            Box::new(picture),
        ),
    ]
}

/// A small picture in which every pixel differs from its neighbours.
fn coloured(format: ::image::ImageFormat) -> Vec<u8> {
    let pixel = |x, y| ::image::Rgb([x as u8 * 17, y as u8 * 29, (x * y) as u8]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = ::image::RgbImage::from_fn(11, 7, pixel);
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn picture(bytes: &[u8]) -> Result<()> {
    let config = ImageConfig {
        size: Size::new(5, 4),
        decode: [Decode::Exact, Decode::Fast][bytes.len() % 2],
        ..ImageConfig::default()
    };
    let picture = image::prepare_bytes(&config, bytes)?;
    assert_eq!(picture.pixels.len(), 5 * 4 * 3);
    Ok(())
}

fn animations() -> Vec<Decoder> {
    let moving = |name, ending, grammar, seal, format| {
        let seeds = [
            golden("video", &[ending]),
            golden("pictures", &[&format!("animated{ending}")]),
        ]
        .concat();
        let mut seeds: Vec<Vec<u8>> = seeds;
        if format == Animation::Apng {
            seeds.extend(golden("pictures", &["animated_apng.png"]));
        }
        decoder(name, seeds, grammar, seal, Box::new(move |bytes| clip(format, bytes)))
    };
    vec![
        moving("animated gif", ".gif", parts::gif, seal::none, Animation::Gif),
        moving("animated png", ".png", parts::png, seal::png, Animation::Apng),
        moving("animated webp", ".webp", parts::riff, seal::none, Animation::WebP),
    ]
}

fn clip(format: Animation, bytes: &[u8]) -> Result<()> {
    let config = VideoConfig {
        frames: 4,
        size: Size::new(6, 8),
        ..VideoConfig::default()
    };
    let clip = animation::decode(&config, format, bytes)?;
    assert!((1..=4).contains(&clip.frames.len()));
    assert!(clip.frames.iter().all(|frame| frame.pixels.len() == 6 * 8 * 3));
    Ok(())
}

fn sounds() -> Vec<Decoder> {
    let sound = |name, endings: &[&str], grammar, seal| {
        decoder(name, golden("audio", endings), grammar, seal, Box::new(waveform))
    };
    vec![
        sound("wav", &[".wav"], parts::riff, seal::none),
        sound("flac", &[".flac"], parts::flac, seal::flac),
        sound("mp3", &[".mp3"], parts::frames, seal::none),
        sound("aac", &[".aac"], parts::frames, seal::none),
        sound("ogg vorbis, flac", &[".ogg"], parts::ogg, seal::ogg),
        sound("ogg opus", &[".opus"], parts::ogg, seal::ogg),
        sound("mp4 sound", &[".m4a", ".mp4"], parts::boxes, seal::none),
        sound(
            "matroska sound",
            &[".mkv", ".mka", ".webm"],
            parts::elements,
            seal::none,
        ),
    ]
}

fn waveform(bytes: &[u8]) -> Result<()> {
    let waveform = audio::decode(bytes)?;
    let length = waveform.length();
    assert!(length > 0 && waveform.channels.iter().all(|channel| channel.len() == length));
    // What a few bytes can stand for is bounded.
    assert!(length * waveform.channels.len() <= 70_000 * bytes.len());
    Ok(())
}

/// The containers of videos, to their ends.
fn walks() -> Vec<Decoder> {
    let container = |name, endings: &[&str], grammar, seal, container| {
        let read = move |bytes: &[u8]| complete::check(container, std::io::Cursor::new(bytes), bytes.len() as u64);
        decoder(name, golden("video", endings), grammar, seal, Box::new(read))
    };
    vec![
        container("mp4", &[".mp4"], parts::boxes, seal::none, Container::Mp4),
        container(
            "matroska",
            &[".mkv", ".webm"],
            parts::elements,
            seal::none,
            Container::Matroska,
        ),
        container("avi", &[".avi"], parts::riff, seal::none, Container::Avi),
        container("ogg video", &[".ogv"], parts::ogg, seal::ogg, Container::Ogg),
        container(
            "mpeg-ts",
            &[".ts"],
            parts::every::<188>,
            seal::none,
            Container::TransportStream,
        ),
        container(
            "mpeg-ps",
            &[".mpg"],
            parts::start_codes,
            seal::none,
            Container::ProgramStream,
        ),
    ]
}

/// Tables and archives, by the one entrance of manifests.
fn manifests() -> Vec<Decoder> {
    let json =
        b"{\"image\":\"a.png\",\"n\":[1,-2.5e3]}\n\n{\"t\":\"\\u00e9\\n\",\"x\":null,\"y\":[[\"q\",\"a\"]]}\r\n[]\n";
    let table = b"\xef\xbb\xbfimage,label\na.png,\"x, \"\"y\"\"\nz\"\n\nb.png,2\r\n";
    let archives = |ending: &str| -> Vec<Vec<u8>> {
        let all = (0..15)
            .map(archived::golden)
            .filter(|(name, _)| name.to_lowercase().ends_with(ending));
        all.map(|(_, bytes)| bytes).collect()
    };
    let of = |name, file: &'static str, seeds, grammar, seal| {
        decoder(
            name,
            seeds,
            grammar,
            seal,
            Box::new(move |bytes: &[u8]| listed(file, bytes)),
        )
    };
    let packed = Box::new(|bytes: &[u8]| listed("rows.tar.gz", &gzip(bytes)));
    vec![
        of("jsonl", "rows.jsonl", vec![json.to_vec()], parts::lines, seal::none),
        of("csv", "rows.csv", vec![table.to_vec()], parts::lines, seal::none),
        of(
            "parquet",
            "rows.parquet",
            golden("tables", &[".parquet"]),
            parts::every::<16>,
            seal::none,
        ),
        of("zip", "rows.zip", archives(".zip"), parts::zip, seal::none),
        of("tar", "rows.tar", archives(".tar"), parts::every::<512>, seal::tar),
        of("gzip", "rows.tgz", archives(".tgz"), parts::every::<8>, seal::none),
        decoder("tar in gzip", archives(".tar"), parts::every::<512>, seal::tar, packed),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

thread_local! {
    /// Where a thread puts the inputs that are read from files.
    static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
}

/// Opens `bytes` as the file `name`; all rows must be accounted for.
fn listed(name: &str, bytes: &[u8]) -> Result<()> {
    FOLDER.with(|folder| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        archived::check_accounted(&Manifest::open(&path)?);
        Ok(())
    })
}

/// Shards, their index and the pictures of MNIST.
fn sets() -> Vec<Decoder> {
    let folder = shards::folder(2, 3);
    let shard = std::fs::read(folder.path().join("train-0000.tar")).unwrap();
    let set = ShardSet::open(folder.path()).unwrap();
    let index = ShardIndex::open(&set, None).unwrap().to_bytes();
    let sealed = |bytes: &mut [u8]| {
        let (content, sum) = bytes.split_at_mut(bytes.len().saturating_sub(32));
        let length = sum.len();
        sum.copy_from_slice(&blake3::hash(content).as_bytes()[..length]);
    };
    let pictures = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2][..], &[7; 12]].concat();
    vec![
        decoder(
            "webdataset",
            vec![shard],
            parts::every::<512>,
            seal::tar,
            Box::new(webdataset),
        ),
        decoder(
            "shard index",
            vec![index],
            parts::every::<16>,
            sealed,
            Box::new(move |bytes| {
                let _kept = &folder;
                indexed(&set, bytes)
            }),
        ),
        decoder(
            "idx",
            vec![pictures],
            parts::every::<4>,
            seal::none,
            Box::new(|bytes| Idx::read(&gzip(bytes), 3).map(drop)),
        ),
    ]
}

/// Manifest, index and stream must say the same of a folder with this shard.
fn webdataset(bytes: &[u8]) -> Result<()> {
    FOLDER.with(|folder| {
        let folder = folder.path().join("shards");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("train-0000.tar"), bytes).unwrap();
        shards::check_agreement(&folder);
        Manifest::open(&folder).map(drop)
    })
}

/// An index that is not refused leads to rows or errors.
fn indexed(set: &ShardSet, bytes: &[u8]) -> Result<()> {
    let Some(index) = ShardIndex::from_bytes(set, bytes) else {
        let message = "expected the index of these shards";
        return Err(crate::DataError::new(crate::ErrorKind::Damaged, message));
    };
    (0..index.rows()).for_each(|row| drop(index.sample(row)));
    Ok(())
}
