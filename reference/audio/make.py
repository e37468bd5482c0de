"""Writes the golden sounds of crates/data/src/processors/audio: encoded files and what ffmpeg makes of them.

Needs ffmpeg 5 or newer with libmp3lame, libvorbis and libopus. Run it in this folder: python make.py
Each FILE.f32 (lossless kinds) or FILE.s16 (lossy kinds) holds ffmpeg's samples, channels interleaved, little-endian.
Of the lossy kinds only the first samples are kept: they show that the sound begins at the right time.
"""

import math
import struct
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
# name: (rate, channels, samples, encoder options)
LOSSLESS = {
    "u8.wav": (8000, 1, 500, "-c:a pcm_u8"),
    "s16.wav": (16000, 2, 500, "-c:a pcm_s16le"),
    "s24.wav": (48000, 1, 500, "-c:a pcm_s24le"),
    "s32.wav": (44100, 1, 500, "-c:a pcm_s32le"),
    "f32.wav": (44100, 1, 500, "-c:a pcm_f32le"),
    "f64.wav": (44100, 1, 500, "-c:a pcm_f64le"),
    "a_law.wav": (8000, 1, 500, "-c:a pcm_alaw"),
    "mu_law.wav": (8000, 2, 500, "-c:a pcm_mulaw"),
    "six.wav": (16000, 6, 200, "-c:a pcm_s24le"),
    "rf64.wav": (16000, 1, 500, "-c:a pcm_s16le -rf64 always"),
    "ms.wav": (16000, 1, 1000, "-c:a adpcm_ms -block_size 256"),
    "ima.wav": (16000, 2, 800, "-c:a adpcm_ima_wav -block_size 256"),
    "s16.flac": (16000, 2, 700, "-c:a flac -frame_size 192"),
    "s24.flac": (48000, 1, 600, "-c:a flac -sample_fmt s32 -bits_per_raw_sample 24 -frame_size 192"),
    "flac.ogg": (16000, 1, 700, "-c:a flac -frame_size 192"),
    "alac.m4a": (16000, 2, 700, "-c:a alac"),
    "pcm.mkv": (16000, 1, 500, "-c:a pcm_s16le"),
    "flac.mka": (16000, 1, 700, "-c:a flac -frame_size 192"),
}
LOSSY = {
    "stereo.mp3": (44100, 2, 6000, "-c:a libmp3lame -b:a 96k"),
    "variable.mp3": (16000, 1, 5000, "-c:a libmp3lame -q:a 4"),
    "bare.mp3": (16000, 1, 5000, "-c:a libmp3lame -q:a 2 -write_xing 0 -id3v2_version 0"),
    "stereo.ogg": (44100, 2, 6000, "-c:a libvorbis -q:a 2"),
    "mono.ogg": (16000, 1, 5000, "-c:a libvorbis -q:a 3"),
    "speech.opus": (16000, 1, 5000, "-c:a libopus -b:a 16k -application voip"),
    "music.opus": (48000, 2, 9000, "-c:a libopus -b:a 96k -application audio"),
    "quad.opus": (48000, 4, 3000, "-c:a libopus -b:a 128k -af pan=quad|c0=c0|c1=c1|c2=c2|c3=c3"),
    "mono.aac": (16000, 1, 5000, "-c:a aac -b:a 32k"),
    "stereo.m4a": (44100, 2, 6000, "-c:a aac -b:a 96k"),
    "fragmented.mp4": (16000, 1, 5000, "-c:a aac -b:a 32k -movflags frag_keyframe+empty_moov"),
    "opus.mp4": (48000, 1, 6000, "-c:a libopus -b:a 32k"),
    "opus.webm": (48000, 1, 6000, "-c:a libopus -b:a 32k"),
    "vorbis.webm": (44100, 1, 6000, "-c:a libvorbis -q:a 2"),
    "aac.mkv": (16000, 1, 5000, "-c:a aac -b:a 32k"),
    "mp3.mka": (16000, 1, 5000, "-c:a libmp3lame -q:a 4"),
}


# Samples per channel that are kept of the lossy kinds.
KEPT = 1000


def signal(rate, channels, samples):
    """Doubles: a rising tone and a steady one, other pitches in each channel, that swell and fade."""
    for index in range(samples):
        time = index / rate
        swell = 0.6 * math.sin(math.pi * (index + 0.5) / samples) ** 0.5
        for channel in range(channels):
            rising = math.sin(2 * math.pi * (200 + 150 * channel + 1500 * time) * time)
            yield swell * (0.7 * rising + 0.3 * math.sin(2 * math.pi * (440 + 110 * channel) * time + channel))


def ffmpeg(*arguments):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True)


def encode(name, rate, channels, samples, options):
    with tempfile.NamedTemporaryFile(suffix=".f64") as raw:
        raw.write(struct.pack(f"<{samples * channels}d", *signal(rate, channels, samples)))
        raw.flush()
        exact = ["-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]
        source = ["-f", "f64le", "-ar", str(rate), "-ac", str(channels), "-i", raw.name]
        ffmpeg(*source, *options.split(), *exact, str(FOLDER / name))


for name, (rate, channels, samples, options) in (LOSSLESS | LOSSY).items():
    encode(name, rate, channels, samples, options)
    kind = "f32" if name in LOSSLESS else "s16"
    golden = FOLDER / f"{name}.{kind}"
    # ffmpeg's own Opus decoder resamples speech in another way than the standard's decoder.
    decoder = ["-c:a", "libopus"] if "opus" in name else []
    ffmpeg(*decoder, "-i", str(FOLDER / name), "-f", f"{kind}le", str(golden))
    if name in LOSSY:
        golden.write_bytes(golden.read_bytes()[: 2 * channels * KEPT])
