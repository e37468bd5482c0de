"""Writes the golden files of a model that answers about sounds: a small random checkpoint, and what `transformers` makes of it.

Needs torch and transformers. Run it in this folder: python make_qwen2_audio.py
The folder `qwen2_audio` is in Hugging Face's layout, with two sounds of which one fills its encoder, and an expected.json: for some
chats all tokens of the prompt, the projected states of the sound, every eighth logit behind each of the last tokens, the tokens that
greedy search answers with, and the answer. Models are drawn until their answers are of use: some end and some do not, and no choice
is close.
"""

import json
import wave
from pathlib import Path

import languages
import numpy
import torch
import transformers

FOLDER = Path(__file__).parent / "qwen2_audio"
RATE = 16_000
SOUNDS = {"full.wav": RATE, "short.wav": 7300}
SPECIAL = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|im_start|>", "<|endoftext|>", "<|im_end|>"]
CHATS = [
    {"sound": "full.wav", "turns": [["the cat?"]]},
    {"sound": "short.wav", "turns": [["In the rain <|AUDIO|>is it on?"]]},
    {"sound": "short.wav", "turns": [["the cat?", "no"], ["The rain?"]]},
    {"sound": "full.wav", "turns": [[""]]},
    {"turns": [["the rain?", "It is on."], [" so?\n"]]},
]
PLACES = 256
WRITTEN = 64
BEHIND = 8


def write_sounds():
    random = numpy.random.default_rng(3)
    for name, samples in SOUNDS.items():
        time = numpy.arange(samples) / RATE
        tone = numpy.sin(2 * numpy.pi * (200 + 3000 * time / time[-1]) * time) * numpy.sin(2 * numpy.pi * 7 * time)
        sound = 0.4 * tone + 0.05 * random.standard_normal(samples)
        with wave.open(str(FOLDER / name), "wb") as file:
            file.setparams((1, 2, RATE, samples, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())


def read_sound(name):
    with wave.open(str(FOLDER / name)) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), "<i2").astype(numpy.float32) / 32768


def configuration(tokenizer):
    audio = dict(
        num_mel_bins=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64, d_model=16, max_source_positions=50
    )  # fmt: skip
    ends = [tokenizer.convert_tokens_to_ids(name) for name in ("<|im_end|>", "<|endoftext|>")]
    text = dict(
        hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=PLACES, vocab_size=len(tokenizer) + 5, bos_token_id=ends[1], eos_token_id=ends[0],
    )  # fmt: skip
    return transformers.Qwen2AudioConfig(
        audio_config=transformers.Qwen2AudioEncoderConfig(**audio), text_config=transformers.Qwen2Config(**text),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    ), ends  # fmt: skip


def draw(config, ends, tokenizer, seed):
    """Every parameter anew; words and ends are likelier than others."""
    torch.manual_seed(seed)
    model = transformers.Qwen2AudioForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if "audio" in name or "projector" in name else 0.5)
    model.get_input_embeddings().weight.data *= 0.4
    table = model.get_output_embeddings().weight.data
    table[[id for word, id in tokenizer.get_vocab().items() if word.strip("Ġ").isalpha() and word.isascii() or word[0] == "Ġ"]] *= 2.0
    table[ends] *= 4.0
    table[len(tokenizer) :] *= 0.1
    model.model.language_model.norm.weight.data *= 8.0
    model.generation_config = transformers.GenerationConfig(bos_token_id=ends[1], eos_token_id=ends)
    return model


def asked(processor, chat):
    """The inputs of a chat; its sound stands where it is named, or in front of the first question."""
    messages, place = [], processor.audio_token
    named = any(place in turn[0] for turn in chat["turns"])
    for number, (question, *answer) in enumerate(chat["turns"]):
        text = question if named or number or "sound" not in chat else place + question
        before, *behind = text.split(place)
        parts = [("text", before)] + [part for after in behind for part in (("audio", "sound"), ("text", after))]
        content = [{"type": kind, kind: value} for kind, value in parts if value]
        messages.append({"role": "user", "content": content})
        messages += [{"role": "assistant", "content": [{"type": "text", "text": text}]} for text in answer]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
    audio = [read_sound(chat["sound"])] if "sound" in chat else None
    return processor(text=prompt, audio=audio, sampling_rate=RATE, return_tensors="pt")


def answer(model, processor, chat, ends):
    inputs = asked(processor, chat)
    given = {name: inputs[name] for name in ("input_features", "feature_attention_mask") if name in inputs}
    prompt = inputs.input_ids[0].tolist()
    seen = lambda ids: model(input_ids=torch.tensor([ids]), **given, use_cache=False).logits[0]
    logits = seen(prompt)[-BEHIND:, ::8].flatten().tolist()
    written, margin, ended = [], float("inf"), False
    while len(written) < WRITTEN and not ended:
        best = seen(prompt + written)[-1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ended = int(best.indices[0]) in ends
        written += [] if ended else [int(best.indices[0])]
    case = {**chat, "prompt": prompt, "logits": logits, "written": written, "states": []}
    if given:
        heard = model.model.language_model.register_forward_pre_hook(
            lambda _, __, kwargs: case.update(states=kwargs["inputs_embeds"][0]), with_kwargs=True
        )
        seen(prompt)
        heard.remove()
        place = processor.audio_token_id
        case["states"] = case["states"][[token == place for token in prompt]].flatten().tolist()
    case["answer"] = processor.tokenizer.decode(written, skip_special_tokens=True).strip()
    return case, ended, margin


def useful(found):
    ends = [ended for _, ended, _ in found]
    lengths = [len(case["written"]) for case, _, _ in found]
    kinds = [len(set(case["written"])) for case, _, _ in found]
    return any(ends) and not all(ends) and min(lengths) > 2 and max(kinds) > 5


def main():
    FOLDER.mkdir(exist_ok=True)
    write_sounds()
    tokenizer = languages.byte_level(SPECIAL)
    extractor = transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    processor = transformers.Qwen2AudioProcessor(extractor, tokenizer)
    config, ends = configuration(tokenizer)
    for seed in range(10_000):
        model = draw(config, ends, tokenizer, seed)
        found = []
        with torch.no_grad():
            for chat in CHATS:
                found.append(answer(model, processor, chat, ends))
                if found[-1][2] < 0.005:
                    break
        if len(found) == len(CHATS) and useful(found):
            break
    for case, _, _ in found:
        written = model.generate(**asked(processor, case), do_sample=False, max_new_tokens=WRITTEN)[0].tolist()[len(case["prompt"]) :]
        assert [token for token in written if token not in ends] == case["written"], (written, case)
    processor.save_pretrained(FOLDER)
    tokenizer.save_pretrained(FOLDER)
    model.save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "expected.json").write_text(json.dumps({"chats": [case for case, _, _ in found]}) + "\n")
    print(seed, [(case["answer"], len(case["prompt"]), ended, margin) for case, ended, margin in found])


main()
