"""Writes the golden files of encoders of raw speech: small random checkpoints, and what `transformers` makes of them.

Needs torch and transformers. Run it in this folder: python make_wav2vec2.py
`wav2vec2` is built as the base model: one group norm in front, norms behind attention. `wav2vec2-large` is built as the large one: a
norm behind each convolution and in front of attention; its words are in small letters, and its blank is the last of the
vocabulary. `hubert` has no head, and the older names of weight normalisation. Each is in Hugging Face's layout, with sounds and an
expected.json: of each sound by itself the states, and the logits, the tokens of greedy decoding and the text, or the mean of the
states, of length one; and the tokens of some texts. Models are drawn until their texts are of use and no choice is close.
"""

import itertools
import json
import wave
from pathlib import Path

import numpy
import safetensors.torch
import torch
import transformers

FOLDER = Path(__file__).parent
RATE = 16_000
# One frame has 400 samples.
SOUNDS = {"long.wav": 6400, "short.wav": 2900, "frame.wav": 400}
TEXTS = ["AB BA", "A  CABBAGE ", "ace", "É"]
SIZES = dict(num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, mask_time_prob=0.05)
LETTERS = ["|", *"ETAOINSHRDLUCMBG", "'"]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]


def write_sounds(folder):
    random = numpy.random.default_rng(3)
    for name, samples in SOUNDS.items():
        time = numpy.arange(samples) / RATE
        tone = numpy.sin(2 * numpy.pi * (200 + 3000 * time / time[-1]) * time) * numpy.sin(2 * numpy.pi * 7 * time)
        sound = 0.4 * tone + 0.05 * random.standard_normal(samples) + 0.02
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, RATE, samples, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())


def read_sound(path):
    with wave.open(str(path)) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), "<i2").astype(numpy.float32) / 32768


def draw(kind, config, seed):
    """Every parameter anew, the ones and zeros of norms and biases too."""
    torch.manual_seed(seed)
    model = kind(config).eval()
    for path, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=1.0 if path.endswith("original0") else 0.35)
        if "norm" in path and path.endswith("weight"):
            parameter.data += 1.0
    return model


def centre(model, tokenizer, values):
    """The head anew, so that each token is about as likely as any other over a sound, the blank and spaces more so, and
    special ones never."""
    head = model.lm_head
    head.bias.data.zero_()
    head.bias.data -= model(values).logits[0].mean(0)
    favoured = [model.config.pad_token_id, tokenizer.word_delimiter_token_id]
    head.bias.data[favoured] += 1.5
    head.bias.data[[id for id in special_tokens(tokenizer) if id < len(head.bias)]] -= 20.0


def special_tokens(tokenizer):
    """Those that are no part of a text, but for the blank."""
    names = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token]
    return [tokenizer.convert_tokens_to_ids(name) for name in names]


def spoken(model, tokenizer, values):
    """What is said in a sound by itself, and how sure each choice is."""
    base = model.base_model(values).last_hidden_state[0]
    logits = model(values).logits[0]
    best = logits.topk(2).values
    ids = logits.argmax(-1).tolist()
    tokens = [token for token, _ in itertools.groupby(ids) if token != model.config.pad_token_id]
    found = {"states": base.flatten().tolist(), "logits": logits.flatten().tolist(), "tokens": tokens}
    return found | {"text": tokenizer.decode(ids)}, float((best[:, 0] - best[:, 1]).min())


def useful(found, tokenizer):
    """Letters twice in a row, several words, and nothing but letters."""
    texts = [case["text"] for case, _ in found]
    plain = not any(set(special_tokens(tokenizer)) & set(case["tokens"]) for case, _ in found)
    twice = any(first == second for first, second in itertools.pairwise(found[0][0]["tokens"]))
    lengths = [len(text) for text in texts]
    return plain and twice and " " in texts[0] and min(lengths[:2]) > 3 and min(margin for _, margin in found) > 0.01


def write(name, kind, config, tokenizer=None, normalize=True):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    write_sounds(folder)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=not normalize)
    values = {sound: extractor(read_sound(folder / sound), sampling_rate=RATE, return_tensors="pt").input_values for sound in SOUNDS}
    for seed in range(100_000):
        model = draw(kind, config, seed)
        if tokenizer is None:
            break
        with torch.no_grad():
            centre(model, tokenizer, values["long.wav"])
            found = [spoken(model, tokenizer, values[sound]) for sound in SOUNDS]
        if useful(found, tokenizer):
            break
    content = {"sounds": {}, "texts": []}
    with torch.no_grad():
        for sound in SOUNDS:
            if tokenizer is not None:
                content["sounds"][sound] = spoken(model, tokenizer, values[sound])[0]
                continue
            states = model(values[sound]).last_hidden_state[0]
            mean = torch.nn.functional.normalize(states.mean(0), dim=0)
            content["sounds"][sound] = {"states": states.flatten().tolist(), "embedding": mean.tolist()}
    if tokenizer is not None:
        content["texts"] = [{"text": text, "tokens": tokenizer(text).input_ids} for text in TEXTS]
        tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)
    model.save_pretrained(folder)
    if tokenizer is None:
        with_older_names(folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    (folder / "expected.json").write_text(json.dumps(content) + "\n")
    print(name, seed, {sound: case.get("text") for sound, case in content["sounds"].items()}, content["texts"])


def with_older_names(path):
    tensors = safetensors.torch.load_file(path)
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, old in names.items():
            name = name.replace(new, old)
        renamed[name] = tensor
    safetensors.torch.save_file(renamed, path, {"format": "pt"})


def tokenizer_of(folder, tokens, **settings):
    folder.mkdir(exist_ok=True)
    path = folder / "vocab.json"
    path.write_text(json.dumps({token: id for id, token in enumerate(tokens)}))
    return transformers.Wav2Vec2CTCTokenizer(path, **settings)


def base():
    tokenizer = tokenizer_of(FOLDER / "wav2vec2", [*SPECIAL, *LETTERS])
    config = transformers.Wav2Vec2Config(
        **SIZES, hidden_size=32, conv_dim=(8, 8, 8, 12, 12, 12, 16), vocab_size=len(SPECIAL) + len(LETTERS),
        architectures=["Wav2Vec2ForCTC"], final_dropout=0.0,
    )  # fmt: skip
    write("wav2vec2", transformers.Wav2Vec2ForCTC, config, tokenizer)


def large():
    tokens = [*LETTERS, "[UNK]", "[PAD]"]
    tokenizer = tokenizer_of(
        FOLDER / "wav2vec2-large", tokens, unk_token="[UNK]", pad_token="[PAD]", do_lower_case=True
    )  # fmt: skip
    config = transformers.Wav2Vec2Config(
        **SIZES, hidden_size=24, conv_dim=(8, 8, 8, 12, 12, 12, 16), vocab_size=len(tokens), pad_token_id=len(tokens) - 1,
        feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True, num_conv_pos_embeddings=9,
        num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    write("wav2vec2-large", transformers.Wav2Vec2ForCTC, config, tokenizer, normalize=False)


def hubert():
    config = transformers.HubertConfig(
        **SIZES, hidden_size=24, conv_dim=(8, 8, 8, 12, 12, 12, 16), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=8
    )
    write("hubert", transformers.HubertModel, config)


base()
large()
hubert()
