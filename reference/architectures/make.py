"""Writes the golden files of crates/model/src/architectures: small random checkpoints, and what `transformers` makes of them.

Needs torch, transformers, efficientnet-lite-pytorch, pillow, ctranslate2 and openai-whisper. Run it in this folder: python make.py [NAME]…
Each architecture has a folder in Hugging Face's layout with an expected.json beside it. Of texts: the tokens, how many of each
text are real, and the last hidden states of the real ones; some texts, and the means of their states, of length one. Of labels of
texts: the logits of each class. Of
pictures: the mean of the last map of picture.png, of length one. Of sounds: the states of the encoder for sound.wav, logits behind
some tokens, and the tokens that greedy search finds without times and with them. whisper-ctranslate2 is the same model as
CTranslate2's own program converts it. words.json: the words of a text and when they are spoken, by openai-whisper.
Language models are those of languages.py.
"""

import json
import shutil
import sys
import wave
from pathlib import Path

import ctranslate2
import languages
import numpy
import torch
import transformers
import whisper
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from whisper.timing import find_alignment

FOLDER = Path(__file__).parent
TOKENS = [[2, 7, 31, 18, 5, 3], [2, 11, 3, 0, 0, 0], [2, 39, 8, 8, 3, 0]]
LENGTHS = [6, 3, 5]
TEXTS = ["A dog sees the red bird.", "birds", "Café, unheard of!", ""]
WORDS = "a dog ##s see the red bird cafe , . ! of un ##he ##ard blue cat green house in is it on over run".split()


def write(name, model):
    folder = FOLDER / name
    model.eval().save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer = write_tokenizer(folder)
    mask = torch.tensor([[int(place < length) for place in range(6)] for length in LENGTHS])
    with torch.no_grad():
        states = model(input_ids=torch.tensor(TOKENS), attention_mask=mask).last_hidden_state
        texts = [tokenizer.encode(text).ids for text in TEXTS]
        means = [model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0) for ids in texts]
    expected = [row[:length].flatten().tolist() for row, length in zip(states, LENGTHS)]
    content = {
        "tokens": TOKENS,
        "lengths": LENGTHS,
        "expected": sum(expected, []),
        "texts": TEXTS,
        "embeddings": [torch.nn.functional.normalize(mean, dim=0).tolist() for mean in means],
    }
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


def write_tokenizer(folder):
    """Pieces of words, as BERT's uncased models have them."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + WORDS
    tokenizer = Tokenizer(models.WordPiece({name: id for id, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(names[:4])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    return tokenizer


def randomise(model):
    """Every parameter anew, the ones and zeros of norms and biases too."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def wanted(name):
    return name in sys.argv[1:] or not sys.argv[1:]


SIZES = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=12,
    hidden_dropout_prob=0.1,
)
if wanted("bert"):
    write("bert", randomise(transformers.BertModel(transformers.BertConfig(**SIZES))))
if wanted("roberta"):
    config = transformers.RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=0, layer_norm_eps=1e-5)
    write("roberta", randomise(transformers.RobertaModel(config)))


def write_labels(name, model):
    """Heads of labels: the classes, and the logits of each text."""
    folder = FOLDER / name
    model = randomise(model).eval()
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)
    tokenizer = write_tokenizer(folder)
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits[0].tolist() for text in TEXTS]
    content = {"texts": TEXTS, "labels": LABELS, "logits": logits}
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


LABELS = ["sad", "angry", "happy"]
NAMED = dict(SIZES, id2label=dict(enumerate(LABELS)), label2id={label: place for place, label in enumerate(LABELS)})
if wanted("bert-labels"):
    write_labels("bert-labels", transformers.BertForSequenceClassification(transformers.BertConfig(**NAMED)))
if wanted("bert-tags"):
    config = transformers.BertConfig(**NAMED, problem_type="multi_label_classification")
    write_labels("bert-tags", transformers.BertForSequenceClassification(config))
if wanted("roberta-labels"):
    config = transformers.RobertaConfig(**NAMED, type_vocab_size=1, pad_token_id=0, layer_norm_eps=1e-5)
    write_labels("roberta-labels", transformers.RobertaForSequenceClassification(config))


def write_efficientnet(name, width, depth, side):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    model = EfficientNet.from_name("efficientnet-lite0", width_coefficient=width, depth_coefficient=depth, image_size=side, num_classes=2)
    torch.manual_seed(1)
    for key, value in model.state_dict().items():
        if value.dtype == torch.float32:
            value.copy_(torch.rand_like(value) + 0.5 if key.endswith("running_var") else torch.randn_like(value) * 0.4)
    model._fc.weight.data *= 0.01  # so that neither label is certain
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    config = {
        "model_type": name,
        "width_coefficient": width,
        "depth_coefficient": depth,
        "image_size": side,
        "batch_norm_eps": 1e-3,
        "drop_connect_rate": 0.2,
        "id2label": {"0": "zebra", "1": "apple"},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    pixels = numpy.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    values = (torch.tensor(pixels).float() - 127) / 128
    with torch.no_grad():
        states = model.eval().extract_features(values.permute(2, 0, 1)[None])[0]
    mean = torch.nn.functional.normalize(states.flatten(1).mean(1), dim=0)
    with torch.no_grad():
        zebra, apple = model(values.permute(2, 0, 1)[None])[0].softmax(0).tolist()
    content = {"embedding": mean.tolist(), "labels": {"zebra": zebra, "apple": apple}}
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


if wanted("efficientnet-lite"):
    write_efficientnet("efficientnet-lite", 0.1, 0.1, 45)

# The tokens of the small Whisper, in the order of the large ones'.
LANGUAGES = ["en", "zh", "de"]
COMMANDS = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
MERGES = ["Ġ t", "h e", "Ġt he", "i n"]
TIMES = 1501
MELS, SECONDS = 16, 1


def letters():
    """The letters of bytes, in the order of GPT-2's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def write_speech_tokenizer(folder):
    words = letters() + [merge.replace(" ", "") for merge in MERGES]
    vocabulary = {token: id for id, token in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(merge.split()) for merge in MERGES]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["endoftext", "startoftranscript", *LANGUAGES, *COMMANDS]
    special = [f"<|{name}|>" for name in names]
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    return tokenizer, words + special


def write_sound(folder):
    """Two seconds and a half of tones that come and go."""
    time = numpy.arange(40_000) / 16_000
    tones = sum(numpy.sin(2 * numpy.pi * pitch * time) * numpy.sin(pitch / 90 * time) for pitch in (220, 523, 1710))
    samples = (9000 * tones / numpy.abs(tones).max()).astype("<i2")
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return samples.astype(numpy.float32) / 32768


def greedy(model, states, prompt, processors, most):
    """The tokens behind a prompt, each the likeliest that the processors leave."""
    ids, log_probabilities = list(prompt), []
    while len(ids) < len(prompt) + most:
        tokens = torch.tensor([ids])
        logits = model(encoder_outputs=(states,), decoder_input_ids=tokens).logits[:, -1]
        for processor in processors:
            logits = processor(tokens, logits)
        ids.append(int(logits.argmax()))
        log_probabilities.append(float(logits.log_softmax(-1).max()))
        if ids[-1] == model.config.eos_token_id:
            break
    return ids[len(prompt) :], log_probabilities


def write_whisper(name):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    tokenizer, tokens = write_speech_tokenizer(folder)
    id = {token: place for place, token in enumerate(tokens)}
    end, start = id["<|endoftext|>"], id["<|startoftranscript|>"]
    config = transformers.WhisperConfig(
        vocab_size=len(tokens) + TIMES, num_mel_bins=MELS, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_source_positions=50 * SECONDS, max_target_positions=32,
        eos_token_id=end, bos_token_id=end, pad_token_id=end, decoder_start_token_id=start, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = randomise(transformers.WhisperForConditionalGeneration(config)).eval()
    readable = {id[letter] for letter in "abcdefghijklmnopqrstuvwxyzĠ"} | {id["Ġthe"], id["in"]}
    suppressed = [place for place in range(end) if place not in readable] + [start]
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=end, decoder_start_token_id=start, suppress_tokens=suppressed, begin_suppress_tokens=[id["Ġ"], end],
        no_timestamps_token_id=id["<|notimestamps|>"], is_multilingual=True, max_initial_timestamp_index=50,
        lang_to_id={f"<|{language}|>": id[f"<|{language}|>"] for language in LANGUAGES},
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data = parameter.data.half()
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)
    model = model.float()
    extractor = transformers.WhisperFeatureExtractor(feature_size=MELS, chunk_length=SECONDS)
    samples = write_sound(folder)
    features = extractor(samples[: 16_000 * SECONDS], sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        write_spoken(folder, model, features, tokenizer, tokens)
    write_converted(folder, tokens, suppressed, [id["Ġ"], end])


def write_spoken(folder, model, features, tokenizer, tokens):
    id = {token: place for place, token in enumerate(tokens)}
    states = model.model.encoder(features).last_hidden_state
    start = id["<|startoftranscript|>"]
    spoken = [id[f"<|{language}|>"] for language in LANGUAGES]
    first = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([[start]])).logits[0, -1]
    language = max(spoken, key=lambda token: first[token])
    prompt = [start, language, id["<|transcribe|>"]]
    settings = model.generation_config
    # Nothing but words, the end and times.
    never = settings.suppress_tokens + list(range(settings.eos_token_id + 1, len(tokens)))
    times = list(range(len(tokens), model.config.vocab_size))
    suppress = transformers.SuppressTokensLogitsProcessor

    def at_begin(length):
        return transformers.SuppressTokensAtBeginLogitsProcessor(settings.begin_suppress_tokens, length)

    plain = prompt + [id["<|notimestamps|>"]]
    written, _ = greedy(model, states, plain, [suppress(never + times), at_begin(len(plain))], 16)
    rules = transformers.WhisperTimeStampLogitsProcessor(settings, len(prompt))
    timed, log_probabilities = greedy(model, states, prompt, [suppress(never), at_begin(len(prompt)), rules], 16)
    logits = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([plain])).logits[0, :, ::16]
    content = {
        "states": states.flatten().tolist(),
        "prompt": plain,
        "logits": logits.flatten().tolist(),
        "language": LANGUAGES[spoken.index(language)],
        "text": tokenizer.decode(written),
        "timed": timed,
        "log_probability": sum(log_probabilities) / len(log_probabilities),
    }
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


def write_converted(folder, tokens, suppressed, suppressed_first):
    """The same by CTranslate2's program, with a list of tokens in the place of a tokenizer."""
    target = FOLDER / f"{folder.name}-ctranslate2"
    shutil.rmtree(target, ignore_errors=True)
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder)
    spec = ctranslate2.specs.WhisperSpec(2, 2, 2, 2)
    ctranslate2.converters.transformers.WhisperLoader().set_encoder(spec.encoder, model.model.encoder)
    ctranslate2.converters.transformers.WhisperLoader().set_decoder(spec.decoder, model.model.decoder)
    ctranslate2.converters.transformers.WhisperLoader().set_linear(spec.decoder.projection, model.proj_out)
    spec.register_vocabulary(tokens + [f"<|{0.02 * place:.2f}|>" for place in range(TIMES)])
    spec.validate()
    spec.optimize(quantization="float16")
    target.mkdir()
    spec.save(str(target))
    config = {"suppress_ids": suppressed, "suppress_ids_begin": suppressed_first}
    (target / "config.json").write_text(json.dumps(config) + "\n")


if wanted("whisper"):
    write_whisper("whisper")


class Spelling(whisper.tokenizer.Tokenizer):
    """What openai-whisper asks of a tokenizer to part a text into words."""

    def __init__(self, tokenizer, tokens, language):
        id = {token: place for place, token in enumerate(tokens)}
        self.tokenizer = tokenizer
        self.language = language
        self.sot_sequence = (id["<|startoftranscript|>"], id[f"<|{language}|>"], id["<|transcribe|>"])
        self.end = id["<|endoftext|>"]
        self.silent = id["<|notimestamps|>"]

    eot = property(lambda self: self.end)
    no_timestamps = property(lambda self: self.silent)

    def decode_with_timestamps(self, tokens):
        return self.tokenizer.decode([token for token in tokens if token < self.end])


NAMES = {
    "layers": "blocks", "fc1": "mlp.0", "fc2": "mlp.2", "final_layer_norm": "mlp_ln", "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln", "self_attn": "attn", "encoder_attn": "cross_attn", "q_proj": "query", "k_proj": "key",
    "v_proj": "value", "out_proj": "out", "embed_tokens": "token_embedding",
}  # fmt: skip


def in_original(name):
    name = name.removeprefix("model.")
    name = name.replace("encoder.layer_norm", "encoder.ln_post").replace("decoder.layer_norm", "decoder.ln")
    name = name.replace("embed_positions.weight", "positional_embedding")
    return ".".join(NAMES.get(part, part) for part in name.split("."))


def write_words(name):
    """When the words of a text are spoken, by openai-whisper with the weights of a folder written before."""
    folder = FOLDER / name
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder).float()
    config = model.config
    dimensions = whisper.model.ModelDimensions(
        MELS, config.max_source_positions, config.d_model, 2, 2, config.vocab_size, config.max_target_positions, config.d_model, 2, 2
    )
    original = whisper.model.Whisper(dimensions).eval()
    tensors = {in_original(key): value for key, value in model.state_dict().items() if key != "proj_out.weight"}
    original.load_state_dict(tensors)
    tokenizer, tokens = write_speech_tokenizer(folder)
    with wave.open(str(folder / "sound.wav")) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16) / 32768
    extractor = transformers.WhisperFeatureExtractor(feature_size=MELS, chunk_length=SECONDS)
    features = extractor(samples[: 16_000 * SECONDS], sampling_rate=16_000, return_tensors="pt").input_features[0]
    cases = []
    for language, frames in [("de", 100), ("zh", 60)]:
        text = tokenizer.encode(" the inn, he in a cab!").ids
        found = find_alignment(original, Spelling(tokenizer, tokens, language), text, features, frames)
        words = [[word.word, float(word.start), float(word.end), float(word.probability)] for word in found]
        cases.append({"language": language, "seconds": frames / 100, "tokens": text, "words": words})
    (folder / "words.json").write_text(json.dumps(cases) + "\n")


if wanted("whisper"):
    write_words("whisper")

for language in languages.MAKERS:
    if wanted(language):
        languages.write(language, FOLDER / language)
