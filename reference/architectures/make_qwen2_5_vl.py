"""Writes the golden files of a model that answers about pictures and videos, whose tokens have three places each.

Needs torch, torchvision, transformers and pillow. Run it in this folder: python make_qwen2_5_vl.py
The folder `qwen2_5_vl` is in Hugging Face's layout: a small random checkpoint, with pictures of which some are scaled, animations of
sizes that the model reads, a larger one, and an expected.json: for some chats all tokens of the prompt, the three places of each, the
mapped squares of patches, every eighth logit behind each of the last tokens, the tokens that greedy search answers with, and the
answer. `patches` has every seventh number of what is read of a wide picture and of the larger animation, which the original scales
with a few bytes other than Pillow's. A text behind a video begins behind its last place, as its authors have it
(Wang et al. 2024) and `transformers` had it up to its version 4; version 5.24 counts rows and columns alone. Models are drawn until their answers are of use: some end and some do not, each
has several different tokens, and no choice is close.
"""

import itertools
import json
from pathlib import Path

import languages
import numpy
import torch
import transformers
from make_smolvlm import greedy, useful
from PIL import Image

FOLDER = Path(__file__).parent / "qwen2_5_vl"
PATCH = 4
# Names, heights and widths.
PICTURES = {"picture.png": (24, 24), "wide.png": (40, 70), "tall.png": (70, 20), "small.png": (6, 10)}
# Names, frames, heights and widths.
VIDEOS = {"video.png": (24, 16, 32), "long.png": (60, 24, 32), "short.png": (3, 16, 24), "large.png": (14, 28, 36)}
RATE = 10
IMAGE, VIDEO, *MARKS = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL = [IMAGE, VIDEO, *MARKS, "<|im_start|>", "<|endoftext|>", "<|im_end|>"]
CHATS = [
    {"images": ["picture.png"], "turns": [["the cat?"]]},
    {"images": ["wide.png"], "turns": [["In the rain <|image_pad|>is it on?"]]},
    {"images": ["tall.png", "small.png"], "turns": [["<|image_pad|>the cat?", "no"], ["The rain <|image_pad|>?"]]},
    {"video": "video.png", "turns": [["the birds?"]]},
    {"images": ["wide.png"], "video": "long.png", "turns": [["is it on?"]]},
    {"video": "short.png", "turns": [["In the rain <|video_pad|>is it on?"]]},
    {"turns": [["the rain?", "It is on."], [" so?\n"]]},
]
TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLACES = 512
WRITTEN = 64
BEHIND = 8


def media():
    """Noise; that of videos is in small squares."""
    FOLDER.mkdir(exist_ok=True)
    random = numpy.random.default_rng(5)
    noise = lambda height, width: Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=numpy.uint8))
    for file, (height, width) in PICTURES.items():
        noise(height, width).save(FOLDER / file)
    for file, (count, height, width) in VIDEOS.items():
        first, *rest = [noise(height // 3, width // 3).resize((width, height), Image.NEAREST) for _ in range(count)]
        first.save(FOLDER / file, save_all=True, append_images=rest, duration=1000 // RATE, loop=0)


def frames(name):
    count, height, width = VIDEOS[name]
    picture = Image.open(FOLDER / name)
    pixels = []
    for number in range(count):
        picture.seek(number)
        pixels.append(numpy.asarray(picture.convert("RGB")))
    metadata = dict(fps=float(RATE), duration=count / RATE, total_num_frames=count, height=height, width=width)
    return torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2), metadata


def processors(tokenizer):
    patches = dict(patch_size=PATCH, merge_size=2, temporal_patch_size=2)
    pictures = transformers.Qwen2VLImageProcessorPil(**patches, size=dict(shortest_edge=16 * 16, longest_edge=40 * 40))
    size = dict(shortest_edge=16 * 16, longest_edge=24 * 32)
    videos = transformers.Qwen2VLVideoProcessor(**patches, size=size, do_sample_frames=True, fps=2.0, min_frames=4, max_frames=8)
    return transformers.Qwen2_5_VLProcessor(pictures, tokenizer, videos, chat_template=TEMPLATE)


def configuration(tokenizer):
    id = tokenizer.convert_tokens_to_ids
    vision = dict(
        depth=4, hidden_size=16, num_heads=2, intermediate_size=24, patch_size=PATCH, temporal_patch_size=2, spatial_merge_size=2,
        window_size=16, fullatt_block_indexes=[1, 3], tokens_per_second=2, out_hidden_size=32,
    )  # fmt: skip
    text = dict(
        hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        rope_parameters=dict(rope_type="default", rope_theta=1e4, mrope_section=[2, 3, 3]), max_position_embeddings=PLACES,
        vocab_size=len(tokenizer) + 5, bos_token_id=id("<|endoftext|>"), eos_token_id=id("<|im_end|>"),
    )  # fmt: skip
    places = dict(zip(("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"), id([IMAGE, VIDEO, *MARKS])))
    return transformers.Qwen2_5_VLConfig(vision_config=vision, text_config=text, **places)


def draw(config, tokenizer, seed):
    """Every parameter anew; words and ends are likelier than others."""
    torch.manual_seed(seed)
    model = transformers.Qwen2_5_VLForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.5 if "visual" not in name else 1.0 if "norm" in name or "ln_q" in name else 0.3)
    table = model.get_output_embeddings().weight.data
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    table[[id for word, id in tokenizer.get_vocab().items() if word.strip("Ġ").isalpha() and word.isascii() or word[0] == "Ġ"]] *= 2.0
    table[ends] *= 4.0
    table[len(tokenizer) :] *= 0.1
    model.model.language_model.norm.weight.data *= 8.0
    model.generation_config = transformers.GenerationConfig(bos_token_id=ends[1], eos_token_id=ends)
    model.model.get_rope_index = one_behind_the_other(model.model.get_rope_index)
    return model


def one_behind_the_other(original):
    """The places of a prompt, of which each part begins behind the last place of the one before."""

    def places(input_ids, **given):
        found, _ = original(input_ids, **given)
        start = place = 0
        for _, part in itertools.groupby(given["mm_token_type_ids"][0].tolist()):
            own = found[:, 0, start : (start := start + len(list(part)))]
            own += place - own[0, 0]
            place = int(own.max()) + 1
        return found, torch.tensor([[place - start]])

    return places


def content(chat, text, first):
    """The parts of a question, with its media where their names stand or in front of the first one."""
    names = [IMAGE] * len(chat.get("images", [])) + [VIDEO] * ("video" in chat)
    asked = "".join(turn[0] for turn in chat["turns"])
    text = "".join(name for name in names if first and name not in asked) + text
    parts, kinds = [], {IMAGE: "image", VIDEO: "video"}
    while text:
        place, name = min(((text.index(name), name) for name in kinds if name in text), default=(len(text), None))
        if place:
            parts.append({"type": "text", "text": text[:place]})
        if name:
            parts.append({"type": kinds[name]})
        text = text[place + len(name or "") :]
    return parts


def asked(processor, chat):
    messages = []
    for number, (question, *answer) in enumerate(chat["turns"]):
        messages.append({"role": "user", "content": content(chat, question, number == 0)})
        messages += [{"role": "assistant", "content": [{"type": "text", "text": text}]} for text in answer]
    given = dict(text=processor.apply_chat_template(messages, add_generation_prompt=True), return_tensors="pt")
    if "images" in chat:
        given["images"] = [Image.open(FOLDER / name) for name in chat["images"]]
    if "video" in chat:
        pixels, metadata = frames(chat["video"])
        given |= dict(videos=[pixels], video_metadata=[metadata])
    return processor(**given)


def answer(model, processor, chat):
    inputs = asked(processor, chat)
    prompt, kinds = inputs.input_ids[0].tolist(), inputs.mm_token_type_ids[0].tolist()
    given = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask", "mm_token_type_ids")}
    read = []

    def seen(ids):
        """The logits of a prompt and what is written behind it, which is text."""
        known = torch.tensor([kinds + [0] * (len(ids) - len(prompt))])
        return model(input_ids=torch.tensor([ids]), mm_token_type_ids=known, **given, use_cache=False).logits[0]

    hook = model.model.language_model.register_forward_pre_hook(
        lambda _, __, named: read.append(named["inputs_embeds"][0]), with_kwargs=True
    )
    logits = seen(prompt)[-BEHIND:, ::8].flatten().tolist()
    hook.remove()
    written, margin, ended = greedy(seen, prompt, model.generation_config.eos_token_id, WRITTEN)
    case = {**chat, "prompt": prompt, "logits": logits, "states": read[0][[kind > 0 for kind in kinds]].flatten().tolist()}
    case |= {"places": model.model.get_rope_index(**inputs)[0][:, 0].tolist(), "written": written}
    case["answer"] = processor.tokenizer.decode(written, skip_special_tokens=True).strip()
    return case, ended, margin


def main():
    media()
    tokenizer = languages.byte_level(SPECIAL)
    processor = processors(tokenizer)
    config = configuration(tokenizer)
    for seed in range(10_000):
        model = draw(config, tokenizer, seed)
        found = []
        with torch.no_grad():
            for chat in CHATS:
                found.append(answer(model, processor, chat))
                if found[-1][2] < 0.005 or len(set(found[-1][0]["written"])) < 4:
                    break
        if len(found) == len(CHATS) and useful(found):
            break
    for case, _, _ in found:
        written = model.generate(**asked(processor, case), do_sample=False, max_new_tokens=WRITTEN)[0].tolist()[len(case["prompt"]) :]
        written = written[:-1] if written[-1] in model.generation_config.eos_token_id else written
        assert written == case["written"], (written, case)
    picture, video = [asked(processor, {**shown, "turns": [["?"]]}) for shown in ({"images": ["wide.png"]}, {"video": "large.png"})]
    expected = {"chats": [case for case, _, _ in found]}
    pixels, frames = picture.pixel_values.flatten().tolist(), video.pixel_values_videos.flatten().tolist()
    seconds = float(video.second_per_grid_ts[0])
    expected["patches"] = {
        "image": {"medium": "wide.png", "grid": picture.image_grid_thw[0].tolist(), "values": pixels[::7]},
        "video": {"medium": "large.png", "grid": video.video_grid_thw[0].tolist(), "seconds": seconds, "values": frames[::7]},
    }
    processor.save_pretrained(FOLDER)
    tokenizer.save_pretrained(FOLDER)
    model.save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
    print(seed, [(case["answer"], len(case["prompt"]), ended, margin) for case, ended, margin in found])


if __name__ == "__main__":
    main()
