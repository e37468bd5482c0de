"""The workloads of `sensorium bench` in PyTorch: the same models, inputs and steps, for benches/compare.

usage: workloads.py WORKLOAD [--threads 2] [--steps 5] [--epsilon 1e-8] [--export FILE.safetensors]

Prints one JSON document: {"workload", "threads", "steps", "seconds_per_step": {"median", "min", "max"},
"first_step_seconds", "peak_rss_mb", "loss"}. One step comes before the `steps` that are timed; `loss` holds the result
of every step, that one included. `first_step_seconds` counts from the start of the process to the end of the first
step. `--export` writes every parameter by its module path, and the inputs as `input.NAME`, as they are before the
first step.
"""
import os
import time

START = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")


def since_start():
    """Seconds since the process was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - START


import argparse
import json
import resource
import statistics

WORKLOADS = ["w1", "w2", "w3", "w3b", "w4v1", "w4v8", "w4g"]


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--epsilon", type=float, default=1e-8, help="of AdamW")
    parser.add_argument("--export", metavar="FILE.safetensors")
    return parser.parse_args()


arguments = parse_arguments()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read when torch is imported

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(arguments.threads)
torch.set_num_interop_threads(1)
torch.manual_seed(0)


class Attention(nn.Module):
    """Multi-head attention; `cache` holds the keys and values of the tokens before."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def split(self, x):
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x, memory=None, causal=False, cache=None):
        memory = x if memory is None else memory
        query, key, value = self.split(self.query(x)), self.split(self.key(memory)), self.split(self.value(memory))
        if cache is not None:
            causal = x.shape[1] > 1
            if cache:
                key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
            cache[:] = [key, value]
        y = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.output(y.transpose(1, 2).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class EncoderBlock(nn.Module):
    """A pre-norm Transformer block."""

    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, 4 * width)

    def forward(self, x, cache=None):
        x = x + self.attention(self.attention_norm(x), cache=cache)
        return x + self.feed_forward(self.feed_forward_norm(x))


class DecoderBlock(nn.Module):
    """A pre-norm Transformer block that attends to itself causally and then to a memory."""

    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, 4 * width)

    def forward(self, x, memory):
        x = x + self.attention(self.attention_norm(x), causal=True)
        x = x + self.cross_attention(self.cross_norm(x), memory)
        return x + self.feed_forward(self.feed_forward_norm(x))


class VisionTransformer(nn.Module):
    """ViT with 16 × 16 patches of a 224 × 224 picture; the class token answers."""

    def __init__(self, width, depth, heads, classes=1000):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 16, 16)
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, 197, width) * 0.02)
        self.blocks = nn.ModuleList([EncoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Stage(nn.Module):
    """Halves a plane, then one residual block."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.norm0 = nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        x = F.relu(self.norm0(self.conv0(x)))
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


class Captioner(nn.Module):
    """A convolutional encoder of 64 × 64 pictures and a Transformer decoder."""

    def __init__(self, width=256, depth=4, heads=4, vocabulary=4000, length=32):
        super().__init__()
        channels = [3, 32, 64, 128, 256]
        self.stages = nn.ModuleList([Stage(i, o) for i, o in zip(channels, channels[1:])])
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(1, length, width) * 0.02)
        self.blocks = nn.ModuleList([DecoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, image, tokens):
        for stage in self.stages:
            image = stage(image)
        memory = image.flatten(2).transpose(1, 2)
        x = self.embedding(tokens) + self.position
        for block in self.blocks:
            x = block(x, memory)
        return self.head(self.norm(x))


class Speech(nn.Module):
    """Two strided convolutions over 80 mel bands and a Transformer, for CTC."""

    def __init__(self, width=256, depth=6, heads=4, vocabulary=32):
        super().__init__()
        self.conv1 = nn.Conv1d(80, width, 3, 2, 1)
        self.conv2 = nn.Conv1d(width, width, 3, 2, 1)
        self.position = nn.Parameter(torch.randn(1, 100, width) * 0.02)
        self.blocks = nn.ModuleList([EncoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, mel):
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Recurrent(nn.Module):
    """Two bidirectional LSTM layers over 80 mel bands, for CTC."""

    def __init__(self, vocabulary=32):
        super().__init__()
        self.lstm = nn.LSTM(80, 256, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(512, vocabulary)

    def forward(self, mel):
        return self.head(self.lstm(mel)[0])


class LanguageModel(nn.Module):
    """GPT-2 124M; the output layer is the embedding."""

    def __init__(self, width=768, heads=12, depth=12, vocabulary=50257):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(1024, width)
        self.blocks = nn.ModuleList([EncoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens, position, caches):
        x = self.embedding(tokens) + self.position(torch.arange(position, position + tokens.shape[1]))
        for block, cache in zip(self.blocks, caches):
            x = block(x, cache=cache)
        return F.linear(self.norm(x[:, -1:]), self.embedding.weight)


def training(model, loss_of):
    """A step of AdamW with the fused kernel."""
    options = {"lr": 1e-4, "weight_decay": 0.01, "eps": arguments.epsilon, "fused": True}
    optimizer = torch.optim.AdamW(model.parameters(), **options)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def vision_training():
    image, targets = torch.randn(8, 3, 224, 224), torch.arange(8) * 7 % 1000
    model = VisionTransformer(192, 12, 3)
    step = training(model, lambda model: F.cross_entropy(model(image), targets))
    return model, {"image": image, "targets": targets}, step


def caption_training():
    image, tokens = torch.randn(32, 3, 64, 64), torch.arange(32 * 32).view(32, 32) * 37 % 4000
    targets, model = (tokens + 1) % 4000, Captioner()
    loss = lambda model: F.cross_entropy(model(image, tokens).view(-1, 4000), targets.view(-1))
    return model, {"image": image, "tokens": tokens, "targets": targets}, training(model, loss)


def ctc_training(model, mel, frames):
    """Twenty labels for each of eight rows of `frames` outputs, all of full length."""
    targets = 1 + torch.arange(8 * 20).view(8, 20) % 31
    lengths = torch.full((8,), frames), torch.full((8,), 20)
    probabilities = lambda model: F.log_softmax(model(mel), -1).transpose(0, 1)
    step = training(model, lambda model: F.ctc_loss(probabilities(model), targets, *lengths))
    return model, {"mel": mel, "targets": targets}, step


def speech_training():
    mel = torch.randn(8, 80, 400)
    return ctc_training(Speech(), mel, 100)


def recurrent_training():
    mel = torch.randn(8, 200, 80)
    return ctc_training(Recurrent(), mel, 200)


def vision_inference(batch):
    """A forward pass; the result is the sum of the logits."""
    image = torch.randn(batch, 3, 224, 224)
    model = VisionTransformer(768, 12, 12).eval()

    def step():
        with torch.inference_mode():
            return model(image).sum().item()

    return model, {"image": image}, step


def decoding():
    """64 greedy tokens after a prompt of 16; the result is the last one."""
    prompt, model = torch.arange(16).view(1, 16), LanguageModel().eval()

    def step():
        with torch.inference_mode():
            tokens, caches, position = prompt, [[] for _ in model.blocks], 0
            for _ in range(64):
                logits = model(tokens, position, caches)
                position += tokens.shape[1]
                tokens = logits.argmax(-1)
                last = tokens.item()
        return float(last)

    return model, {"tokens": prompt}, step


def build(workload):
    """The model, its inputs by name, and a step that returns the loss or a number that stands for the output."""
    builders = {
        "w1": vision_training,
        "w2": caption_training,
        "w3": speech_training,
        "w3b": recurrent_training,
        "w4v1": lambda: vision_inference(1),
        "w4v8": lambda: vision_inference(8),
        "w4g": decoding,
    }
    return builders[workload]()


def export(path, model, inputs):
    from safetensors.torch import save_file

    tensors = {name: parameter.detach() for name, parameter in model.named_parameters()}
    tensors |= {f"input.{name}": tensor for name, tensor in inputs.items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)


def main():
    model, inputs, step = build(arguments.workload)
    if arguments.export:
        export(arguments.export, model, inputs)
    results, seconds = [step()], []
    first = since_start()
    for _ in range(arguments.steps):
        start = time.perf_counter()
        results.append(step())
        seconds.append(time.perf_counter() - start)
    seconds = seconds or [0.0]
    report = {
        "workload": arguments.workload,
        "threads": arguments.threads,
        "steps": arguments.steps,
        "seconds_per_step": {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)},
        "first_step_seconds": first,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss": results,
    }
    print(json.dumps(report))


main()
