//! MP4 and QuickTime (ISO/IEC 14496-12): boxes within boxes, sample tables, edit lists.

use super::mp4_samples::Samples;
use super::{Promise, Walk, damaged};
use crate::{DataError, ErrorKind, Result};

const NAME: &str = "MP4";

/// Follows the boxes of the file, then the table that says where the sound's packets lie.
pub fn check(bytes: &[u8], start: usize) -> Result<Promise> {
    let range = start..bytes.len();
    let mut walk = Walk::new(NAME, bytes, range.clone());
    let (mut movie, mut fragmented) = (None, false);
    while walk.left() > 0 {
        let Some((kind, content)) = next_box(&mut walk)? else {
            break;
        };
        match &kind {
            b"moov" => movie = Some(content),
            b"moof" => fragmented = true,
            _ => {}
        }
    }
    let movie = movie.ok_or_else(|| damaged(NAME, bytes.len(), "no index, which often lies at the end"))?;
    let (track, rates) = audio_track(&movie)?;
    let mut promise = Promise {
        range,
        track: Some(track.number),
        ..Promise::default()
    };
    if !fragmented {
        promise.length = track.samples.check(bytes.len(), movie.at)?;
    }
    trim(&mut promise, &track, rates);
    Ok(promise)
}

/// Applies a plain edit list: one piece of the track, from its media time on.
fn trim(promise: &mut Promise, track: &Track, movie_scale: u32) {
    let to_samples = |time: u64, scale: u32| {
        let samples = u128::from(time) * u128::from(track.sample_rate) / u128::from(scale.max(1));
        u64::try_from(samples).unwrap_or(u64::MAX)
    };
    let Some((duration, media_time)) = track.edit else {
        promise.length = promise.length.map(|length| to_samples(length, track.scale));
        return;
    };
    promise.skip = to_samples(media_time, track.scale);
    let whole = promise
        .length
        .map(|length| to_samples(length, track.scale).saturating_sub(promise.skip));
    // The movie counts in coarser steps than the track: only a difference of more than one is meant.
    let kept = to_samples(duration, movie_scale);
    let step = to_samples(1, movie_scale) + 1;
    promise.length = whole.map(|whole| if kept > 0 && kept + step < whole { kept } else { whole });
}

/// What is read of a track.
#[derive(Default)]
struct Track<'a> {
    number: u32,
    sound: bool,
    /// Ticks per second of its times.
    scale: u32,
    sample_rate: u32,
    /// Duration in ticks of the movie, and start in ticks of the track.
    edit: Option<(u64, u64)>,
    samples: Samples<'a>,
}

/// The first track of sound, and the ticks per second of the movie.
fn audio_track<'a>(movie: &Walk<'a>) -> Result<(Track<'a>, u32)> {
    let (mut walk, mut scale) = (movie.clone(), 0);
    let mut found = None;
    while let Some((kind, mut content)) = next_box(&mut walk)? {
        match &kind {
            b"mvhd" => scale = time_scale(&mut content)?,
            b"trak" => {
                let mut track = Track::default();
                read_track(&mut track, content, 0)?;
                if track.sound && found.is_none() {
                    found = Some(track);
                }
            }
            _ => {}
        }
    }
    let found = found.ok_or_else(|| {
        let message = "expected audio, found an MP4 file without a sound track; leave the audio out of this row";
        DataError::new(ErrorKind::Unsupported, message)
    })?;
    Ok((found, scale))
}

fn read_track<'a>(track: &mut Track<'a>, mut walk: Walk<'a>, depth: usize) -> Result<()> {
    while let Some((kind, mut content)) = next_box(&mut walk)? {
        match &kind {
            b"mdia" | b"minf" | b"stbl" | b"edts" if depth < 4 => read_track(track, content, depth + 1)?,
            b"tkhd" => track.number = after_times(&mut content)?,
            b"mdhd" => track.scale = time_scale(&mut content)?,
            b"hdlr" => {
                content.skip(8)?;
                track.sound = content.take()? == *b"soun";
            }
            b"elst" => track.edit = single_edit(&mut content)?,
            b"stsd" => track.sample_rate = sample_rate(&mut content).unwrap_or(0),
            _ => track.samples.read(&kind, content)?,
        }
    }
    Ok(())
}

/// The next box, or `None` behind the last one.
fn next_box<'a>(walk: &mut Walk<'a>) -> Result<Option<([u8; 4], Walk<'a>)>> {
    // Some writers end a list of boxes with four zero bytes.
    if walk.left() == 0 || (walk.left() < 8 && walk.rest().iter().all(|&byte| byte == 0)) {
        return Ok(None);
    }
    let place = walk.clone();
    let cut = |_| place.cut();
    let (size, kind) = (walk.u32().map_err(cut)?, walk.take::<4>().map_err(cut)?);
    if kind == [0; 4] {
        return Err(place.fault("a box without a type"));
    }
    let length = match size {
        0 => walk.left() as u64,
        1 => walk.u64().map_err(cut)?.checked_sub(16).ok_or_else(|| place.cut())?,
        _ => u64::from(size).checked_sub(8).ok_or_else(|| place.cut())?,
    };
    Ok(Some((kind, walk.inner(length).map_err(cut)?)))
}

/// The field behind the version, the flags and two times.
fn after_times(content: &mut Walk) -> Result<u32> {
    let wide = content.u32()? >> 24 == 1;
    content.skip(if wide { 16 } else { 8 })?;
    content.u32()
}

fn time_scale(content: &mut Walk) -> Result<u32> {
    after_times(content)
}

/// The list's one entry with a place in the media; an empty one before it is silence to wait for.
fn single_edit(content: &mut Walk) -> Result<Option<(u64, u64)>> {
    let wide = content.u32()? >> 24 == 1;
    let mut found = Vec::new();
    for _ in 0..content.u32()?.min(3) {
        let (duration, time) = match wide {
            true => (content.u64()?, content.u64()? as i64),
            false => (u64::from(content.u32()?), i64::from(content.u32()? as i32)),
        };
        content.skip(4)?;
        found.extend(u64::try_from(time).ok().map(|time| (duration, time)));
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The rate in the first sample description, whole part of a 16.16 number.
fn sample_rate(content: &mut Walk) -> Result<u32> {
    content.skip(8 + 8 + 24)?;
    Ok(content.u32()? >> 16)
}
