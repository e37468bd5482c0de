//! Decoded sound is brought to the configured channels, rate and length, filtered, and checked.

use super::super::invalid;
use super::{AudioConfig, Channels, Waveform, apply, resample};
use crate::Result;

/// The largest sample that features are computed of; twice that of 16-bit numbers taken for floats,
/// and far from where powers leave the range of a float.
pub const LOUDEST: f32 = 65_536.0;

/// Mixes, resamples, filters and cuts.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for another number of channels than is kept.
pub fn condition(config: &AudioConfig, waveform: Waveform) -> Result<Waveform> {
    let mut waveform = whole(config, waveform)?;
    cut(config, &mut waveform);
    Ok(waveform)
}

/// [`condition`] without the cut.
pub fn whole(config: &AudioConfig, waveform: Waveform) -> Result<Waveform> {
    let mut waveform = at_rate(mixed(waveform, config.channels)?, config.sample_rate);
    apply(&config.filters, &mut waveform);
    Ok(waveform)
}

/// Of the configured channels.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for another number of channels than is kept.
pub fn mixed(waveform: Waveform, channels: Channels) -> Result<Waveform> {
    let (sample_rate, found) = (waveform.sample_rate, waveform.channels.len());
    let channels = match channels {
        Channels::Mono => vec![waveform.mono()],
        Channels::Keep(count) if found == count as usize => waveform.channels,
        Channels::Keep(count) if found == 1 => vec![waveform.mono(); count as usize],
        Channels::Keep(count) => {
            let message = format!("expected a sound of 1 or {count} channels, found {found}; mix them to mono");
            return Err(invalid(message));
        }
    };
    Ok(Waveform { sample_rate, channels })
}

fn at_rate(waveform: Waveform, rate: u32) -> Waveform {
    if waveform.sample_rate == rate {
        return waveform;
    }
    let channels = waveform.channels.iter();
    Waveform {
        sample_rate: rate,
        channels: channels
            .map(|channel| resample(channel, waveform.sample_rate, rate))
            .collect(),
    }
}

/// Drops what lies behind the longest length.
pub fn cut(config: &AudioConfig, waveform: &mut Waveform) {
    let longest = config.max_samples();
    waveform
        .channels
        .iter_mut()
        .for_each(|channel| channel.truncate(longest));
}

/// Refuses fewer samples than `fewest`, and samples whose powers might leave the range of a float.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the place in seconds.
pub fn check(waveform: &Waveform, fewest: usize) -> Result<()> {
    let seconds = |samples: usize| samples as f64 / f64::from(waveform.sample_rate);
    if waveform.length() < fewest {
        return Err(invalid(format!(
            "expected at least {:.4} seconds of sound, found {:.4}; leave the row out or lengthen the sound",
            seconds(fewest),
            waveform.seconds()
        )));
    }
    let usable = |sample: &f32| sample.abs() <= LOUDEST;
    for channel in &waveform.channels {
        // Without a branch the pass is many times faster than the search for the place.
        if channel.iter().fold(true, |all, sample| all & usable(sample)) {
            continue;
        }
        let place = channel.iter().position(|sample| !usable(sample)).unwrap_or(0);
        return Err(invalid(format!(
            "expected samples from -1 to 1, found {} after {:.4} seconds; encode the sound again",
            channel[place],
            seconds(place)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(channels: &[&[f32]]) -> Waveform {
        let channels = channels.iter().map(|channel| channel.to_vec()).collect();
        let sample_rate = 16_000;
        Waveform { sample_rate, channels }
    }

    fn conditioned(channels: Channels, waveform: &[&[f32]]) -> Result<Waveform> {
        let config = AudioConfig {
            channels,
            ..AudioConfig::default()
        };
        condition(&config, sound(waveform))
    }

    #[test]
    fn channels_are_mixed_kept_or_refused() {
        let stereo: [&[f32]; 2] = [&[0.5, 0.25], &[-0.5, 0.75]];
        let check = |channels, waveform: &[&[f32]], expected: &[&[f32]]| {
            assert_eq!(conditioned(channels, waveform).unwrap(), sound(expected));
        };
        check(Channels::Mono, &stereo, &[&[0.0, 0.5]]);
        check(Channels::Keep(2), &stereo, &stereo);
        check(Channels::Keep(2), &stereo[..1], &[stereo[0], stereo[0]]);
        let error = conditioned(Channels::Keep(3), &stereo).unwrap_err();
        assert!(error.message.contains("1 or 3 channels, found 2"), "{error}");
    }

    #[test]
    fn what_is_no_sound_is_refused_with_its_place() {
        let message = |samples: &[f32], fewest| check(&sound(&[samples]), fewest).unwrap_err().message;
        assert!(message(&[0.0; 40], 80).contains("at least 0.0050 seconds of sound, found 0.0025"));
        let mut samples = [0.5; 800];
        for bad in [f32::NAN, f32::INFINITY, -70_000.0] {
            samples[160] = bad;
            assert!(message(&samples, 80).contains(&format!("found {bad} after 0.0100 seconds")));
        }
        samples[160] = LOUDEST;
        check(&sound(&[&samples]), 80).unwrap();
    }
}
