"""Writes the golden files of T5 and its relatives: small random checkpoints, and what `transformers` makes of them.

Needs torch and transformers. Run it in this folder: python make_t5.py [NAME]…
`t5` is built as the first version, with one table of tokens, `t5-gated` as version 1.1, with a table of its own in front of the scores
and fewer blocks in the decoder, and `mt5` as mT5, in a file of PyTorch that names the table of tokens three times. `t5-encoder` has no
decoder. Each is in Hugging Face's layout, with an expected.json: of some texts, one of which is longer than all distances that are
told apart, the tokens, every third state and the mean of all, of length one; every seventh row of logits behind the tokens of a long
answer, about the first text and the longest; and the tokens that greedy search and a beam of three write, with their text. That of
`t5` says in which buckets distances lie too. Models are drawn until their texts are of use and no choice is close.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers.models.t5.modeling_t5 import T5Attention

FOLDER = Path(__file__).parent
SPECIAL = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
WORDS = "▁the ▁dog ▁cat ▁sees ▁a ▁in ▁of ▁red ▁house ▁is s ing ed un er ▁b ▁c at og".split()
LETTERS = "▁abcdefghijklmnopqrstuvwxyz.,?:"
PAD, END, UNKNOWN = 0, 1, 2
# They are never written there, and these are never written here.
NEVER = [PAD, UNKNOWN]
LONG = "the red dog of the house sees a cat in the house, " * 10 + "unseen."
TEXTS = ["the dog sees a cat", "is the cat in the red house?", LONG, ""]
SIZES = dict(d_model=16, num_layers=2, decoder_start_token_id=PAD, dropout_rate=0.1)
# Behind these many tokens an answer ends where nothing is said.
WRITTEN = 64
BUCKETS = [(32, 128), (10, 20), (8, 12), (33, 100)]


def tokenizer():
    """Pieces of sentences, as T5's own class reads them, with two tokens for gaps."""
    pieces = SPECIAL + [(word, -2.0 - 0.01 * id) for id, word in enumerate(WORDS)] + [(letter, -6.0 - 0.01 * id) for id, letter in enumerate(LETTERS)]
    return transformers.T5Tokenizer(vocab=pieces + [("<extra_id_1>", 0.0), ("<extra_id_0>", 0.0)], extra_ids=2)


def draw(kind, config, seed):
    """Every parameter anew; distances matter as much as what tokens are."""
    torch.manual_seed(seed)
    model = kind(config).eval()
    for name, parameter in model.named_parameters():
        if "relative_attention_bias" in name:
            torch.nn.init.normal_(parameter, std=1.5)
        elif "layer_norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.35)
        elif "shared" in name:
            torch.nn.init.normal_(parameter, std=1.0)
        elif "lm_head" not in name:
            torch.nn.init.normal_(parameter, std=0.25)
    if hasattr(model, "lm_head") and not getattr(config, "scale_decoder_outputs", False):
        # The original ties it where the file does not have another one.
        model.lm_head.weight = torch.nn.Parameter(torch.randn(config.vocab_size, config.d_model))
    if hasattr(model, "decoder"):
        excite(model)
    return model


def excite(model):
    """What is written depends on what was read and on its place, more than on the token before it."""
    model.decoder.final_layer_norm.weight.data *= 2.0
    model.lm_head.weight.data[END] *= 1.5
    for index, block in enumerate(model.decoder.block):
        attention, cross, network = block.layer
        attention.SelfAttention.o.weight.data *= 8.0
        cross.EncDecAttention.o.weight.data *= 2.0
        network.DenseReluDense.wo.weight.data *= 4.0
        if index == 0:
            attention.SelfAttention.relative_attention_bias.weight.data *= 2.0


def decode(model, states, ids):
    """The logits behind each of the tokens."""
    found = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([ids]), use_cache=False)
    return found.logits[0]


def greedy(model, states, written):
    """The tokens of a text, and by how much each choice was the best one."""
    ids, margin = [PAD], float("inf")
    while len(ids) <= written and END not in ids:
        logits = decode(model, states, ids)[-1]
        logits[NEVER] = -torch.inf
        best = logits.topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
    return ids[1:], margin


def gain(model, states, better, ids):
    """By how much the text of the beam is the likelier one."""

    def log_probability(ids):
        logits = decode(model, states, [PAD, *ids[:-1]])
        logits[:, NEVER] = -torch.inf
        return float(logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).sum())

    return 0.0 if better == ids else log_probability(better) - log_probability(ids)


def generate(model, tokens, written, **settings):
    """The same by the original's own search, without the begin and the filling behind an end."""
    found = model.generate(input_ids=torch.tensor([tokens]), max_length=1 + written, suppress_tokens=NEVER, **settings)[0].tolist()
    assert found[0] == PAD
    found = found[1:]
    return found[: found.index(END) + 1] if END in found else found


def useful(text):
    """Of several words, and no choice is a narrow one."""
    ids, margin = text
    return len(set(ids)) > 3 and margin > 0.01


def useful_together(texts):
    """Some come to an end, and no two are the same."""
    ends = [END in ids for ids, _ in texts]
    kinds = len({tuple(ids) for ids, _ in texts})
    return all(map(useful, texts)) and kinds == len(TEXTS) and any(ends) and not all(ends)


def beam(model, tokens, written):
    """What a beam of three writes; none where a wider one writes something else, since then a search may well miss it."""
    narrow, wide = [
        generate(model, tokens, written, num_beams=width, length_penalty=0.0, renormalize_logits=True) for width in (3, 6)
    ]
    return narrow if narrow == wide else None


def rounded(values):
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]


def mean(states):
    return torch.nn.functional.normalize(states[0].mean(0), dim=0)


def answer(read, ids):
    return {"written": [id for id in ids if id != END], "text": read.decode(ids, skip_special_tokens=True)}


def buckets():
    places = torch.arange(-300, 301)
    found = T5Attention._relative_position_bucket
    return [
        {"count": count, "farthest": farthest, "both_sides": both, "buckets": found(places, both, count, farthest).tolist()}
        for count, farthest in BUCKETS
        for both in (False, True)
    ]


def write(name, kind, config, written=None):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    read = tokenizer()
    read.save_pretrained(folder)
    config.architectures = [kind.__name__]
    tokens = [read(text).input_ids for text in TEXTS]
    assert len(tokens[2]) > 130 and all(ids[-1] == END and UNKNOWN not in ids for ids in tokens)
    most = written or WRITTEN
    for seed in range(100_000):
        model = draw(kind, config, seed)
        encoder = model.get_encoder() if hasattr(model, "decoder") else model
        states = [encoder(input_ids=torch.tensor([ids])).last_hidden_state for ids in tokens]
        if not hasattr(model, "decoder"):
            break
        texts = []
        while len(texts) < len(states) and all(useful(text) for text in texts):
            texts.append(greedy(model, states[len(texts)], most))
        if not useful_together(texts):
            continue
        beams = [beam(model, ids, most) for ids in tokens]
        # Those that are better than the greedy text tell whether there is a beam.
        gains = [gain(model, one, ids, text) for one, ids, (text, _) in zip(states, beams, texts) if ids]
        if len(gains) > 1 and all(one == 0.0 or one > 0.01 for one in gains) and max(gains) > 0.01:
            break
    rows = [{"text": text, "tokens": ids, "states": rounded(one[0, ::3]), "mean": rounded(mean(one))} for text, ids, one in zip(TEXTS, tokens, states)]
    content = {"rows": rows}
    if hasattr(model, "decoder"):
        for ids, (text, _) in zip(tokens, texts):
            assert generate(model, ids, most, do_sample=False) == text
        for row, (ids, _), best in zip(rows, texts, beams):
            row |= {"greedy": answer(read, ids), "beam": best and answer(read, best)}
        generator = torch.Generator().manual_seed(1)
        targets = [[PAD, *torch.randint(3, config.vocab_size, (140,), generator=generator).tolist()] for _ in range(2)]
        content["targets"] = targets
        content["logits"] = [rounded(decode(model, one, ids)[::7]) for one, ids in zip([states[0], states[2]], targets)]
        model.generation_config = transformers.GenerationConfig(
            decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=END, max_length=written and 1 + written
        )
        print(name, seed, [row["greedy"]["text"] for row in rows], [row["beam"] and row["beam"]["text"] for row in rows])
    if name == "t5":
        content["buckets"] = buckets()
    model.save_pretrained(folder)
    if name == "mt5":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


def main():
    size = len(tokenizer())
    cases = {
        "t5": lambda: (transformers.T5ForConditionalGeneration, transformers.T5Config(**SIZES, vocab_size=size, d_kv=8, d_ff=40, num_heads=3), 24),
        "t5-gated": lambda: (
            transformers.T5ForConditionalGeneration,
            transformers.T5Config(
                **SIZES, vocab_size=size + 3, d_kv=4, d_ff=24, num_heads=4, num_decoder_layers=1, feed_forward_proj="gated-gelu",
                tie_word_embeddings=False, relative_attention_num_buckets=10, relative_attention_max_distance=20,
            ),
        ),
        "mt5": lambda: (
            transformers.MT5ForConditionalGeneration,
            transformers.MT5Config(
                **SIZES, vocab_size=size, d_kv=6, d_ff=24, num_heads=2, relative_attention_num_buckets=8, relative_attention_max_distance=12
            ),
        ),
        "t5-encoder": lambda: (
            transformers.T5EncoderModel,
            transformers.T5Config(**SIZES, vocab_size=size, d_kv=8, d_ff=24, num_heads=2, feed_forward_proj="gated-silu"),
        ),
    }  # fmt: skip
    for name, case in cases.items():
        if name in sys.argv[1:] or not sys.argv[1:]:
            with torch.no_grad():
                write(name, *case())


main()
