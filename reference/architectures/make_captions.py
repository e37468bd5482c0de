"""Writes the golden files of models that write about pictures: small random checkpoints, and what `transformers` makes of them.

Needs torch, transformers and pillow. Run it in this folder: python make_captions.py [NAME]…
Each architecture has a folder in Hugging Face's layout, with picture.png and other.png of the size that it reads, large.png of another
one, and an expected.json: all last states of picture.png, and the state of the class of large.png; some tokens and the logits behind
each of them, of picture.png and other.png; and the tokens that greedy search and a beam of three write about both, with their text.
Of a model that answers questions, these are about a picture and a question, and the last states of the questions' tokens stand beside
them.
"""

import json
import sys
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

FOLDER = Path(__file__).parent
SIDE = 24
PICTURES = ["picture.png", "other.png"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = "a dog ##s see the red bird cafe , . ! of un ##he ##ard blue cat green house in is it on over run ? what".split()
QUESTIONS = ["What is it?", "the red bird", "is the dog on the house, in it or over it?"]
END = SPECIAL.index("[SEP]")
# Behind the words, in no tokenizer: what a text begins with, and what the paper's own program begins questions with.
BEGIN = len(SPECIAL) + len(WORDS)
NEVER = [id for id in range(len(SPECIAL)) if id != END] + [BEGIN, BEGIN + 1]
WRITTEN = 19
TEXTS = dict(
    vocab_size=BEGIN + 2, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=32,
    bos_token_id=BEGIN, sep_token_id=END, pad_token_id=0, eos_token_id=END,
)  # fmt: skip
VISION = dict(intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=8)


def write_pictures(folder):
    """Two of the size that is read, and a larger one without fine detail."""
    random = numpy.random.default_rng(1)
    for name in PICTURES:
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).save(folder / name)
    coarse = Image.fromarray(random.integers(0, 256, (4, 6, 3), dtype=numpy.uint8))
    coarse.resize((2 * SIDE + 14, SIDE + 11), Image.Resampling.BICUBIC).save(folder / "large.png")


def write_tokenizer(folder):
    """Pieces of words, as BERT's uncased models have them."""
    names = SPECIAL + WORDS
    tokenizer = Tokenizer(models.WordPiece({name: id for id, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", END), ("[CLS]", names.index("[CLS]")))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    return tokenizer


def draw(kind, config, seed):
    """Every parameter anew; what is written depends on the place and the picture, and holds no special tokens but the end."""
    torch.manual_seed(seed)
    model = kind(config).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 0.5)
        if "orm" in name and name.endswith("weight"):
            parameter.data += 1.0
    head = model.text_decoder.cls.predictions
    for layer in model.text_decoder.bert.encoder.layer:
        layer.attention.output.dense.weight.data *= 0.2
        layer.crossattention.output.dense.weight.data *= 0.4
        layer.output.dense.weight.data *= 0.2
    head.bias.data[END] = 1.0
    head.bias.data[NEVER] = -20.0
    assert head.decoder.bias is head.bias
    return model


def decode(model, states, ids):
    """The logits behind each of the tokens."""
    mask = torch.ones(states.shape[:2], dtype=torch.long)
    found = model.text_decoder(input_ids=torch.tensor([ids]), encoder_hidden_states=states, encoder_attention_mask=mask)
    return found.logits[0]


def greedy(model, states):
    """The tokens of a text, and by how much each choice was the best one."""
    ids, margin = [BEGIN], float("inf")
    while len(ids) <= WRITTEN and END not in ids:
        best = decode(model, states, ids)[-1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
    return ids[1:], margin


def gain(model, states, beam, ids):
    """By how much the text of the beam is the likelier one."""

    def log_probability(ids):
        logits = decode(model, states, [BEGIN, *ids[:-1]])
        return float(logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).sum())

    return 0.0 if beam == ids else log_probability(beam) - log_probability(ids)


def generate(model, inputs, **settings):
    """The same by the original's own search, without the begin and the filling behind an end."""
    found = model.generate(**inputs, max_length=1 + WRITTEN, **settings)[0].tolist()
    assert found[0] == BEGIN
    found = found[1:]
    return found[: found.index(END) + 1] if END in found else found


class Captions:
    kind = transformers.BlipForConditionalGeneration
    rows = [(name, None) for name in PICTURES]
    width = 20

    @staticmethod
    def inputs(pixels, tokens):
        return {"pixel_values": pixels}

    @staticmethod
    def memory(model, pixels, tokens):
        return model.vision_model(pixels).last_hidden_state


class Answers:
    kind = transformers.BlipForQuestionAnswering
    rows = [(name, question) for name in PICTURES for question in QUESTIONS]
    width = 16

    @staticmethod
    def inputs(pixels, tokens):
        return {"pixel_values": pixels, "input_ids": torch.tensor([tokens]), "attention_mask": torch.ones(1, len(tokens), dtype=torch.long)}

    @staticmethod
    def memory(model, pixels, tokens):
        seen = model.vision_model(pixels).last_hidden_state
        mask = torch.ones(seen.shape[:2], dtype=torch.long)
        encode = model.text_encoder
        found = encode(input_ids=torch.tensor([tokens]), encoder_hidden_states=seen, encoder_attention_mask=mask)
        return found.last_hidden_state


def useful(texts):
    """Some come to an end, of several words, and no choice is a narrow one."""
    ends = [END in ids for ids, _ in texts]
    kinds = len({tuple(ids) for ids, _ in texts})
    some = any(ends) and not all(ends) and kinds > len(texts) / 2
    return some and min(len(ids) for ids, _ in texts) > 1 and max(len(set(ids)) for ids, _ in texts) > 4 and min(m for _, m in texts) > 0.005


def write(name, case):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    write_pictures(folder)
    tokenizer = write_tokenizer(folder)
    processor = transformers.BlipImageProcessorPil(size=dict(height=SIDE, width=SIDE))
    processor.save_pretrained(folder)
    pixels = {name: processor(Image.open(folder / name), return_tensors="pt").pixel_values for name in [*PICTURES, "large.png"]}
    rows = [(pixels[name], question and tokenizer.encode(question).ids) for name, question in case.rows]
    config = transformers.BlipConfig(text_config=TEXTS, vision_config=dict(VISION, hidden_size=case.width))
    config.architectures = [case.kind.__name__]
    for seed in range(10_000):
        model = draw(case.kind, config, seed)
        memories = [case.memory(model, *row) for row in rows]
        texts = [greedy(model, memory) for memory in memories]
        if not useful(texts):
            continue
        beams = [generate(model, case.inputs(*row), num_beams=3, length_penalty=0.0) for row in rows]
        # A beam may miss the greedy text where that is the better one: then there is more than one right answer.
        gains = [gain(model, memory, beam, ids) for memory, beam, (ids, _) in zip(memories, beams, texts)]
        if all(one == 0.0 or one > 0.01 for one in gains) and max(gains) > 0.01:
            break
    for row, (ids, _) in zip(rows, texts):
        assert generate(model, case.inputs(*row), do_sample=False) == ids
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    tokens = [[BEGIN, *ids] for ids in torch.randint(0, BEGIN, (2, 7), generator=torch.Generator().manual_seed(1)).tolist()]
    first = [memories[0], memories[len(memories) // 2]]

    def answer(ids):
        return {"written": [id for id in ids if id != END], "text": tokenizer.decode(ids)}

    content = {
        "states": model.vision_model(pixels["picture.png"]).last_hidden_state.flatten().tolist(),
        "large": model.vision_model(pixels["large.png"]).last_hidden_state[0, 0].tolist(),
        "tokens": tokens,
        "logits": [decode(model, memory, ids).flatten().tolist() for memory, ids in zip(first, tokens)],
        "rows": [
            {"picture": picture, "question": question, "greedy": answer(ids), "beam": answer(beam)}
            for (picture, question), (ids, _), beam in zip(case.rows, texts, beams)
        ],
    }
    if case is Answers:
        for row, memory in zip(content["rows"], memories):
            row["states"] = memory.flatten().tolist()
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


with torch.no_grad():
    for name, case in {"blip": Captions, "blip-vqa": Answers}.items():
        if name in sys.argv[1:] or not sys.argv[1:]:
            write(name, case)
