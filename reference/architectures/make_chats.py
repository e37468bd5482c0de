"""Writes the golden files of a model that is asked about several pictures, about a video, and in a dialogue.

Needs torch, torchvision, transformers, num2words and pillow. Run it in this folder: python make_chats.py
The folder `smolvlm-chat` holds a small random checkpoint, as make_smolvlm.py draws it, with pictures, an animation of the size that the
model reads, a larger one, and an expected.json: for some chats all tokens of the prompt, every eighth logit behind the last of them,
the tokens that greedy search answers with, and the answer. `frames` has every seventh byte of the larger animation's frames that are
read.
"""

import json
from pathlib import Path

import languages
import numpy
import torch
import transformers
from make_smolvlm import COUNT, DEFAULT_CHAT_TEMPLATE, END, LONGEST, PICTURE, SIDE, SPECIAL, configuration, draw, greedy, useful
from PIL import Image

FOLDER = Path(__file__).parent / "smolvlm-chat"
VIDEO = "<video>"
PLACES = 512
WRITTEN = 64
BEHIND = 8
PICTURES = {"picture.png": (SIDE, SIDE), "wide.png": (40, 70)}
# Names, frames, frames a second, height and width.
CLIPS = {"clip.png": (12, 2, SIDE, SIDE), "large.png": (14, 4, 44, 70)}
MOST, RATE = 4, 1
CHATS = [
    {"images": ["picture.png", "wide.png"], "turns": [["Is it <image> or <image>?"]]},
    {"images": ["wide.png", "picture.png"], "turns": [["the cat in the rain?"]]},
    {"images": ["picture.png"], "turns": [["Is it the cat?", "It is the bird."], ["And the rain?", " no"], ["on <image>?"]]},
    {"images": ["picture.png"], "turns": [["Is it?", "the cat"], ["And now?"]]},
    {"video": "clip.png", "turns": [["What is it?"]]},
    {"video": "clip.png", "turns": [["In <video>the cat", "yes"], [" so?\n"]]},
    {"turns": [["the rain?"]]},
]


def content(chat, text, first):
    """The parts of a question, with its media where their names stand or in front of the first one."""
    names = [PICTURE] * len(chat.get("images", [])) + [VIDEO] * ("video" in chat)
    asked = "".join(turn[0] for turn in chat["turns"])
    absent = [name for name in dict.fromkeys(names) if name not in asked]
    text = "".join(name for name in names if first and name in absent) + text
    parts, kinds = [], {PICTURE: "image", VIDEO: "video"}
    while text:
        place, name = min(((text.index(name), name) for name in kinds if name in text), default=(len(text), None))
        if place:
            parts.append({"type": "text", "text": text[:place]})
        if name:
            parts.append({"type": kinds[name]})
        text = text[place + len(name or "") :]
    return parts


def frames(name):
    count, rate, height, width = CLIPS[name]
    picture = Image.open(FOLDER / name)
    pixels = []
    for number in range(count):
        picture.seek(number)
        pixels.append(numpy.asarray(picture.convert("RGB")))
    duration = count / rate
    return numpy.stack(pixels), dict(fps=rate, duration=duration, total_num_frames=count, height=height, width=width)


def asked(processor, chat):
    messages = []
    for number, (question, *answer) in enumerate(chat["turns"]):
        messages.append({"role": "user", "content": content(chat, question, number == 0)})
        messages += [{"role": "assistant", "content": [{"type": "text", "text": text}]} for text in answer]
    prompt = processor.apply_chat_template(messages, chat_template=DEFAULT_CHAT_TEMPLATE, add_generation_prompt=True)
    images = [[Image.open(FOLDER / name) for name in chat["images"]]] if "images" in chat else None
    given = dict(text=prompt, images=images, return_tensors="pt")
    if "video" in chat:
        pixels, metadata = frames(chat["video"])
        given |= dict(videos=[torch.tensor(pixels).permute(0, 3, 1, 2)], video_metadata=[metadata])
        given |= dict(do_sample_frames=True, num_frames=MOST, fps=RATE)
    return processor(**given)


def answer(model, processor, chat):
    inputs = asked(processor, chat)
    pixels, prompt = inputs.get("pixel_values"), inputs.input_ids[0].tolist()
    seen = lambda ids: model(input_ids=torch.tensor([ids]), pixel_values=pixels, use_cache=False).logits[0]
    logits = seen(prompt)[-BEHIND:, ::8].flatten().tolist()
    written, margin, ended = greedy(seen, prompt, model.generation_config.eos_token_id, WRITTEN)
    case = {**chat, "prompt": prompt, "logits": logits, "written": written}
    case["answer"] = processor.tokenizer.decode(written, skip_special_tokens=True).strip()
    return case, ended, margin


def media():
    FOLDER.mkdir(exist_ok=True)
    random = numpy.random.default_rng(1)
    noise = lambda height, width: Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=numpy.uint8))
    for file, (height, width) in PICTURES.items():
        noise(height, width).save(FOLDER / file)
    for file, (count, rate, height, width) in CLIPS.items():
        first, *rest = [noise(height // 4, width // 4).resize((width, height), Image.BILINEAR) for _ in range(count)]
        first.save(FOLDER / file, save_all=True, append_images=rest, duration=1000 // rate, loop=0)


def processors(tokenizer):
    sides = dict(size=dict(longest_edge=LONGEST), max_image_size=dict(longest_edge=SIDE))
    pictures = transformers.models.smolvlm.SmolVLMImageProcessorPil(**sides, do_image_splitting=True)
    sampling = dict(max_frames=MOST, fps=RATE, video_size=dict(longest_edge=SIDE))
    videos = transformers.SmolVLMVideoProcessor(max_image_size=sides["max_image_size"], video_sampling=sampling)
    return transformers.SmolVLMProcessor(pictures, tokenizer, videos, image_seq_len=COUNT)


def main():
    media()
    tokenizer = languages.byte_level([*SPECIAL, END])
    processor = processors(tokenizer)
    config = configuration("smolvlm", tokenizer, PLACES)
    for seed in range(10_000):
        model = draw("smolvlm", config, tokenizer, seed)
        found = []
        with torch.no_grad():
            for chat in CHATS:
                found.append(answer(model, processor, chat))
                if found[-1][2] < 0.005:
                    break
        if len(found) == len(CHATS) and useful(found):
            break
    for case, _, _ in found:
        inputs = asked(processor, case)
        known = {name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values") if name in inputs}
        written = model.generate(**known, do_sample=False, max_new_tokens=WRITTEN)[0].tolist()[len(case["prompt"]) :]
        written = written[:-1] if written[-1] in model.generation_config.eos_token_id else written
        assert written == case["written"], (written, case)
    pixels = asked(processor, {"video": "large.png", "turns": [["?"]]}).pixel_values[0]
    content = {"chats": [case for case, _, _ in found]}
    content["frames"] = ((pixels * 0.5 + 0.5) * 255).round().int().permute(0, 2, 3, 1).flatten().tolist()[::7]
    processor.save_pretrained(FOLDER)
    tokenizer.save_pretrained(FOLDER)
    model.save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)
    (FOLDER / "expected.json").write_text(json.dumps(content) + "\n")


main()
