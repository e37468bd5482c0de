"""Transcripts by the Python Whispers, for benches/compare.

usage: speech.py FILE… (--model FOLDER --type int8|float32 | --run RUN) [--language en] [--beam 5] [--threads 2] [--json]

--model is a folder of CTranslate2, which faster-whisper reads; --run one that `sensorium import` wrote, whose weights
openai-whisper is given. Prints what is said, a line for each stretch of it as soon as it is known; with --json a list of
{"text"}, one for each file.
"""
import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("files", nargs="+")
parser.add_argument("--model")
parser.add_argument("--type")
parser.add_argument("--run")
parser.add_argument("--language", default="en")
parser.add_argument("--beam", type=int, default=5)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--json", action="store_true")
options = parser.parse_args()


def faster():
    from faster_whisper import WhisperModel

    model = WhisperModel(options.model, device="cpu", compute_type=options.type, cpu_threads=options.threads)

    def transcribe(file):
        segments, _ = model.transcribe(file, language=options.language, beam_size=options.beam)
        for segment in segments:
            yield segment.text

    return transcribe


def ours(name):
    """The name in openai-whisper of a parameter of ours."""
    parts = {
        "inputs.audio.stem.first": "encoder.conv1", "inputs.audio.stem.second": "encoder.conv2",
        "inputs.audio.trunk.positions.axes.0": "encoder.positional_embedding", "inputs.audio.trunk.norm": "encoder.ln_post",
        "outputs.text.decoder.embedding": "decoder.token_embedding", "outputs.text.decoder.body.norm": "decoder.ln",
        "outputs.text.decoder.body.places.weight": "decoder.positional_embedding", "inputs.audio.trunk": "encoder",
        "outputs.text.decoder.body": "decoder", "cross_attention.output": "cross_attn.out", "attention.output": "attn.out",
        "cross_attention": "cross_attn", "attention_norm": "attn_ln", "cross_norm": "cross_attn_ln", "attention": "attn",
        "feed_forward_norm": "mlp_ln", "expand": "mlp.0", "contract": "mlp.2",
    }  # fmt: skip
    for old, new in parts.items():
        name = name.replace(old, new)
    return name


def original():
    import torch

    # A wheel that was built for CUDA refuses its companions on a machine without one.
    torch.version.cuda = None
    import whisper
    from safetensors.torch import load_file

    torch.set_num_threads(options.threads)
    tensors = {ours(name): value for name, value in load_file(f"{options.run}/model.safetensors").items()}
    count = lambda side: len({name.split(".")[2] for name in tensors if name.startswith(f"{side}.blocks.")})
    width, mels = tensors["encoder.conv1.weight"].shape[:2]
    vocabulary, places = tensors["decoder.token_embedding.weight"].shape[0], tensors["encoder.positional_embedding"].shape[0]
    longest, heads = tensors["decoder.positional_embedding"].shape[0], width // 64
    sizes = whisper.model.ModelDimensions(mels, places, width, heads, count("encoder"), vocabulary, longest, width, heads, count("decoder"))
    model = whisper.model.Whisper(sizes).eval()
    # Nor is a sound absent there, nor have keys a bias, which moves all scores of a query alike, or the table.
    own = ("inputs.audio.absent", "key.bias", "decoder.bias")
    model.load_state_dict({name: value for name, value in tensors.items() if not name.endswith(own)})

    def transcribe(file):
        yield model.transcribe(file, language=options.language, beam_size=options.beam, fp16=False)["text"]

    return transcribe


transcribe = original() if options.run else faster()
if options.json:
    print(json.dumps([{"text": "".join(transcribe(file))} for file in options.files]))
else:
    for file in options.files:
        for text in transcribe(file):
            print(text.strip(), flush=True)
