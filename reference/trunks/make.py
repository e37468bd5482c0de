"""Writes the golden outputs of crates/model/src/trunks/golden.rs: what PyTorch's operations make of small trunks.

Needs torch. Run it in this folder: python make.py
Weights and tokens follow from a formula of a parameter's path and an element's index, here and in the test. cases.json
holds a recipe's words for each trunk, the extents of the tokens' axes, how many tokens of each sample are real, and those
tokens after the trunk.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

FOLDER = Path(__file__).parent
WIDTH = 8
HEADS = 2


def wave(name, shape):
    """0.4 · sin(0.7 · index + the sum of the name's bytes)"""
    count = math.prod(shape)
    angles = 0.7 * torch.arange(count, dtype=torch.float64) + sum(name.encode())
    return 0.4 * torch.sin(angles).reshape(shape)


class Scope:
    """A place in the tree of parameters."""

    def __init__(self, path=""):
        self.path = path

    def at(self, name):
        return Scope(f"{self.path}.{name}" if self.path else str(name))

    def parameter(self, name, *shape):
        return wave(self.at(name).path, shape)

    def linear(self, name, x, output):
        scope = self.at(name)
        return F.linear(x, scope.parameter("weight", output, x.shape[-1]), scope.parameter("bias", output))

    def norm(self, name, x):
        scope, width = self.at(name), x.shape[-1]
        return F.layer_norm(x, (width,), scope.parameter("weight", width), scope.parameter("bias", width))


def turn(x, coordinates):
    """Rotary positions as products of complex numbers; `coordinates` are [axes][length]."""
    half = x.shape[-1] // 2
    base = 10_000.0 if len(coordinates) == 1 else 100.0
    shares = [half // len(coordinates)] * len(coordinates)
    shares[-1] += half % len(coordinates)
    angles = [
        torch.tensor(axis, dtype=torch.float64)[:, None] * base ** (-torch.arange(share, dtype=torch.float64) / share)
        for axis, share in zip(coordinates, shares)
    ]
    angles = torch.cat(angles, -1)
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], -1)


def attention(scope, x, mask, coordinates=None, causal=False):
    """`x` [batch, length, width] and `mask` [batch, length], true = real."""
    batch, length, width = x.shape
    split = lambda name: scope.linear(name, x, width).reshape(batch, length, HEADS, -1).transpose(1, 2)
    query, key, value = split("query"), split("key"), split("value")
    if coordinates:
        query, key = turn(query, coordinates), turn(key, coordinates)
    seen = mask[:, None, None, :].expand(batch, 1, length, length)
    if causal:
        seen = seen & torch.ones(length, length, dtype=torch.bool).tril()
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    # A sequence without a real token attends to nothing.
    mixed = torch.where(seen.any(-1, keepdim=True), mixed, torch.zeros(()))
    return scope.linear("output", mixed.transpose(1, 2).reshape(batch, length, width), width)


def positions(scope, kind, x, layout):
    """What positions add to the tokens; `layout` are the extents of the axes."""
    width = x.shape[-1]
    coordinates = torch.unravel_index(torch.arange(math.prod(layout)), layout)
    if kind == "learned":
        tables = [scope.at("axes").parameter(axis, extent, width) for axis, extent in enumerate(layout)]
        return x + sum(table[places] for table, places in zip(tables, coordinates))
    if kind == "rotary":
        return x
    shares = [width // len(layout)] * len(layout)
    shares[-1] += width % len(layout)
    parts = []
    for places, share in zip(coordinates, shares):
        channels = torch.arange(share)
        rates = 10_000.0 ** (-(channels // 2 * 2).double() / share)
        angles = places[:, None].double() * rates
        parts.append(torch.where(channels % 2 == 0, angles.sin(), angles.cos()))
    return x + torch.cat(parts, -1)


def grid_coordinates(layout):
    return [axis.tolist() for axis in torch.unravel_index(torch.arange(math.prod(layout)), layout)]


def transformer(config, x, mask, layout):
    kind = config.get("positions", "sinusoidal")
    rotary = lambda extents: grid_coordinates(extents) if kind == "rotary" else None
    scope = Scope()
    x = positions(scope.at("positions"), kind, x, layout)
    batch, length, width = x.shape
    for index in range(config["layers"]):
        block = scope.at("blocks").at(index)
        if config.get("space_time") == "factorised":
            time, height, columns = layout
            places = height * columns
            through = scope.at("through_time").at(index)
            normal = through.norm("norm", x)
            change = torch.zeros_like(x)
            for place in range(places):
                part = slice(place, None, places)
                own = attention(through.at("attention"), normal[:, part], mask[:, part], rotary([time]))
                change[:, part] = own
            x = x + change
            normal = block.norm("attention_norm", x)
            change = torch.zeros_like(x)
            for frame in range(time):
                part = slice(frame * places, (frame + 1) * places)
                own = attention(block.at("attention"), normal[:, part], mask[:, part], rotary([height, columns]))
                change[:, part] = own
            x = x + change
        else:
            normal = block.norm("attention_norm", x)
            x = x + attention(block.at("attention"), normal, mask, rotary(layout), config.get("causal", False))
        hidden = F.gelu(block.linear("expand", block.norm("feed_forward_norm", x), config["expansion"] * width))
        x = x + block.linear("contract", hidden, width)
    return scope.norm("norm", x)


def conformer(config, x, mask, layout):
    width, kernel = x.shape[-1], config["kernel"]

    def feed_forward(scope, x):
        hidden = F.silu(scope.linear("expand", scope.norm("norm", x), config["expansion"] * width))
        return x + 0.5 * scope.linear("contract", hidden, width)

    def convolution(scope, x):
        gated = F.glu(scope.linear("gate", scope.norm("norm", x), 2 * width), -1) * mask[..., None]
        depthwise = scope.at("depthwise")
        weight, bias = depthwise.parameter("weight", width, 1, kernel), depthwise.parameter("bias", width)
        mixed = F.conv1d(gated.transpose(1, 2), weight, bias, padding=kernel // 2, groups=width).transpose(1, 2)
        return x + scope.linear("pointwise", F.silu(scope.norm("depthwise_norm", mixed)), width)

    for index in range(config["layers"]):
        block = Scope().at("blocks").at(index)
        x = feed_forward(block.at("before"), x)
        normal = block.norm("attention_norm", x)
        x = x + attention(block.at("attention"), normal, mask, grid_coordinates(layout))
        x = convolution(block.at("convolution"), x)
        x = feed_forward(block.at("after"), x)
        x = block.norm("norm", x)
    return x


CASES = [
    ({"kind": "transformer", "positions": "sinusoidal"}, [5], [5, 3]),
    ({"kind": "transformer", "positions": "learned", "causal": True}, [5], [5, 3]),
    ({"kind": "transformer", "positions": "rotary", "causal": True}, [5], [5, 3]),
    ({"kind": "transformer", "positions": "learned"}, [2, 3], [6, 6]),
    ({"kind": "transformer", "positions": "rotary"}, [2, 3], [6, 6]),
    ({"kind": "transformer", "positions": "learned", "space_time": "factorised"}, [3, 2, 2], [12, 8]),
    ({"kind": "transformer", "positions": "rotary", "space_time": "factorised"}, [3, 2, 2], [12, 4]),
    ({"kind": "transformer", "positions": "sinusoidal", "space_time": "joint"}, [3, 2, 2], [12, 8]),
    ({"kind": "conformer", "kernel": 3}, [5], [5, 3]),
]


def case(config, layout, lengths):
    config = config | {"width": WIDTH, "heads": HEADS, "layers": 2, "expansion": 2}
    x = wave("tokens", [len(lengths), math.prod(layout), WIDTH])
    mask = torch.arange(math.prod(layout)) < torch.tensor(lengths)[:, None]
    run = conformer if config["kind"] == "conformer" else transformer
    found = run(config, x, mask, layout)
    real = [round(value, 5) for value in found[mask].flatten().tolist()]
    return {"config": config, "layout": layout, "lengths": lengths, "expected": real}


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    cases = [json.dumps(case(*arguments)) for arguments in CASES]
    text = "[\n" + ",\n".join(cases) + "\n]\n"
    (FOLDER / "cases.json").write_text(text)
