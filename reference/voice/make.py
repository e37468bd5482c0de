"""Writes expected.json: what the network of silero-vad makes of a sound, with weights and samples that follow from formulas.

Needs torch and numpy, and silero-vad for the comparison with the original. Run it in this folder: python make.py [SOUND.wav]
With a recording at 16 kHz it also says how far this network is from the package's own on it.
"""

import json
import math
import sys
import wave
from pathlib import Path

import numpy
import torch

FOLDER = Path(__file__).parent
PART, CONTEXT, FREQUENCIES = 512, 64, 129
SHAPES = {
    "conv1.bias": [128], "conv1.weight": [128, 129, 3], "conv2.bias": [64], "conv2.weight": [64, 128, 3], "conv3.bias": [64],
    "conv3.weight": [64, 64, 3], "conv4.bias": [128], "conv4.weight": [128, 64, 3], "final_conv.bias": [1],
    "final_conv.weight": [1, 128, 1], "lstm_cell.bias_hh": [512], "lstm_cell.bias_ih": [512], "lstm_cell.weight_hh": [512, 128],
    "lstm_cell.weight_ih": [512, 128], "stft_conv.weight": [258, 1, 256],
}  # fmt: skip


def noise(seed, count):
    """Numbers from -1 to 1 that follow from their place."""
    x = (numpy.arange(count, dtype=numpy.uint32) + numpy.uint32(1_000_003 * seed + 1)) * numpy.uint32(2_654_435_761)
    x = (x ^ (x >> numpy.uint32(15))) * numpy.uint32(2_246_822_519)
    return (x ^ (x >> numpy.uint32(13))) / 2**31 - 1


def tensors():
    found = {}
    for place, (name, shape) in enumerate(SHAPES.items()):
        scale = 3 / math.sqrt(math.prod(shape[1:]))
        values = scale * noise(place, math.prod(shape)) * (0.1 if "bias" in name else 1)
        found[name] = torch.tensor(values.reshape(shape), dtype=torch.float32)
    return found


def samples():
    count = 9 * PART + 100
    tone = numpy.sin(2e-5 * numpy.arange(count) ** 2) * numpy.sin(7e-4 * numpy.arange(count))
    return torch.tensor(tone + 0.1 * noise(99, count), dtype=torch.float32)


def probabilities(w, x):
    """As tinygrad_model.py of silero-vad 6.2.3."""
    x = torch.nn.functional.pad(x, (CONTEXT, -len(x) % PART))
    state, found = None, []
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({name: w[f"lstm_cell.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})
    for start in range(0, len(x) - CONTEXT, PART):
        part = torch.nn.functional.pad(x[None, None, start : start + CONTEXT + PART], (0, CONTEXT), "reflect")
        waves = torch.nn.functional.conv1d(part, w["stft_conv.weight"], stride=128)
        y = (waves[:, :FREQUENCIES] ** 2 + waves[:, FREQUENCIES:] ** 2).sqrt()
        for name, stride in [("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)]:
            y = torch.nn.functional.conv1d(y, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride, padding=1).relu()
        state = cell(y[..., 0], state)
        found.append(torch.nn.functional.conv1d(state[0][..., None].relu(), w["final_conv.weight"], w["final_conv.bias"]).sigmoid().item())
    return found


def compare(path):
    """The package's tensors are older than its program's, whose weights are taken here."""
    with wave.open(path) as file:
        x = torch.tensor(numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16) / 32768, dtype=torch.float32)
    original = silero_vad.load_silero_vad()
    original.reset_states()
    padded = torch.nn.functional.pad(x, (0, -len(x) % PART))
    theirs = [original(part, 16_000).item() for part in padded.split(PART)]
    found = original.state_dict()
    names = {"stft_conv.weight": "stft.forward_basis_buffer", "lstm_cell": "decoder.rnn", "final_conv": "decoder.decoder.2"}
    names |= {f"conv{place + 1}": f"encoder.{place}.reparam_conv" for place in range(4)}
    weights = {}
    for name in SHAPES:
        layer = next(layer for layer in names if name.startswith(layer))
        weights[name] = found["_model." + name.replace(layer, names[layer])]
    ours = probabilities(weights, x)
    print("largest difference", max(abs(a - b) for a, b in zip(ours, theirs, strict=True)), "in", len(ours), "parts")


with torch.no_grad():
    (FOLDER / "expected.json").write_text(json.dumps(probabilities(tensors(), samples())) + "\n")
    if sys.argv[1:]:
        import silero_vad

        compare(sys.argv[1])
