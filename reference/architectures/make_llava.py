"""Writes the golden files of models that answer about pictures: small random checkpoints, and what `transformers` makes of them.

Needs torch, transformers and pillow. Run it in this folder: python make_llava.py
The folder is in Hugging Face's layout, with picture.png of the size that it reads and an expected.json: the projected patches of
picture.png, and for some prompts the tokens in front of the picture and behind it, every eighth logit behind each of the latter,
the tokens that greedy search answers with, and the answer. `chats` are prompts about several pictures and dialogues, as the chat
template of llava-1.5 sets them, with all their tokens. Models are drawn until their answers are of use: some end and some do not,
and no choice is close.
"""

import json
from pathlib import Path

import languages
import numpy
import torch
import transformers
from PIL import Image
from tokenizers import AddedToken

FOLDER = Path(__file__).parent / "llava"
PICTURE = "<image>"
TEXTS = ["USER: <image>\nthe cat? ASSISTANT:", " in the rain", "The cat <image> sat on"]
CHATS = [
    {"images": ["picture.png", "other.png"], "text": "USER: Is <image> or <image>? ASSISTANT:"},
    {"images": ["other.png", "picture.png"], "turns": [["the cat?"]]},
    {"images": ["other.png"], "turns": [["the cat?", "no"], ["The rain?"]]},
]
SIDE = 24
PLACES = 128
WRITTEN = 64


def configuration(size):
    vision = dict(
        hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=SIDE, patch_size=8, projection_dim=8
    )
    text = dict(
        model_type="llama", hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=PLACES, vocab_size=size + 3, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    return transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision), text_config=transformers.LlamaConfig(**text), image_token_index=size - 1
    )


def draw(config, tokenizer, seed):
    """Every parameter anew; words and ends are likelier than others."""
    torch.manual_seed(seed)
    model = transformers.LlavaForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if "vision" in name or "projector" in name else 0.5)
    model.get_input_embeddings().weight.data *= 0.4
    table = model.get_output_embeddings().weight.data
    words = tokenizer.get_vocab().items()
    table[[id for word, id in words if word.strip("▁").isalpha() and word.isascii() or word[0] == "▁"]] *= 2.0
    table[2] *= 4.0
    table[len(tokenizer) - 1 :] *= 0.1
    model.model.language_model.norm.weight.data *= 8.0
    model.generation_config = transformers.GenerationConfig(bos_token_id=1, eos_token_id=2)
    return model


def answer(model, tokenizer, pixels, text, count):
    place = len(tokenizer) - 1
    whole = text if PICTURE in text else PICTURE + text
    prompt = tokenizer(whole).input_ids
    at = len(prompt) - 1 - prompt[::-1].index(place)
    front, behind = prompt[:at], prompt[at + 1 :]
    ids = [token for part in ([place] * count if token == place else [token] for token in prompt) for token in part]
    seen = lambda ids: model(input_ids=torch.tensor([ids]), pixel_values=pixels, use_cache=False).logits[0]
    logits = seen(ids)[-len(behind) :, ::8].flatten().tolist()
    written, margin, ended = [], float("inf"), False
    while len(written) < WRITTEN and not ended:
        best = seen(ids + written)[-1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ended = int(best.indices[0]) == 2
        written += [] if ended else [int(best.indices[0])]
    found = model.generate(input_ids=torch.tensor([ids]), pixel_values=pixels, do_sample=False, max_new_tokens=WRITTEN)[0].tolist()
    assert found[len(ids) :] == written + [2] * ended, (found, written)
    case = {"text": text, "front": front, "behind": behind, "logits": logits, "written": written}
    case["answer"] = tokenizer.decode(written, skip_special_tokens=True).strip()
    return case, ended, margin


def chatted(model, tokenizer, pictures, chat, count):
    """The same for a chat."""
    text = chat.get("text")
    if text is None:
        turns = [(f"USER: {question} ASSISTANT:", *answer) for question, *answer in chat["turns"]]
        text = " ".join(part for turn in turns for part in turn)
        text = text.replace("USER: ", "USER: " + f"{PICTURE}\n" * len(chat["images"]), 1)
    pixels = torch.cat([pictures[name] for name in chat["images"]])
    case, ended, margin = answer(model, tokenizer, pixels, text, count)
    prompt = tokenizer(text).input_ids
    return {**chat, "prompt": prompt, "written": case["written"], "answer": case["answer"]}, ended, margin


def main():
    tokenizer = languages.sentence_pieces()
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(PICTURE, normalized=False, special=True)]})
    config = configuration(len(tokenizer))
    FOLDER.mkdir(exist_ok=True)
    random = numpy.random.default_rng(1)
    for name in ["picture.png", "other.png"]:
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=numpy.uint8)).save(FOLDER / name)
    crop = dict(height=SIDE, width=SIDE)
    processor = transformers.CLIPImageProcessorPil(size=dict(shortest_edge=SIDE), crop_size=crop)
    read = lambda name: processor(Image.open(FOLDER / name), return_tensors="pt").pixel_values
    pictures = {name: read(name) for name in ["picture.png", "other.png"]}
    pixels = pictures["picture.png"]
    for seed in range(10_000):
        model = draw(config, tokenizer, seed)
        with torch.no_grad():
            patches = model.get_image_features(pixel_values=pixels).pooler_output[0]
            found = [answer(model, tokenizer, pixels, text, len(patches)) for text in TEXTS]
            found += [chatted(model, tokenizer, pictures, chat, len(patches)) for chat in CHATS]
        ends = [ended for _, ended, _ in found]
        lengths = [len(case["written"]) for case, _, _ in found]
        kinds = [len(set(case["written"])) for case, _, _ in found]
        if any(ends) and not all(ends) and min(lengths) > 2 and max(kinds) > 5 and min(margin for *_, margin in found) > 0.005:
            break
    tokenizer.save_pretrained(FOLDER)
    processor.save_pretrained(FOLDER)
    model.save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)
    cases = [case for case, _, _ in found]
    content = {"patches": patches.flatten().tolist(), "texts": cases[: len(TEXTS)], "chats": cases[len(TEXTS) :]}
    (FOLDER / "expected.json").write_text(json.dumps(content) + "\n")


main()
