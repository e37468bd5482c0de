"""Small random language models and what `transformers` makes of them; make.py runs it.

Each folder is as `transformers` saves a model and its tokenizer. The expected.json beside it holds every eighth logit behind each of
some tokens, and for some texts: the tokens that stand before the answer, those that greedy search goes on with, and the text of
these, with the space before them. Models are drawn until their answers are of use: some end and some do not, one begins with a
space, and no choice is close.
"""

import json

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

MERGES = ["Ġ t", "h e", "Ġt he", "i n", "Ġ a", "e r", "o n", "Ġ s"]
TEXTS = ["The cat sat on", " in the rain", "Größe, 12 birds", ""]
PLACES = 64
# As many tokens as `sensorium import` lets such a model write.
WRITTEN = PLACES // 2
SIZES = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=PLACES,
)
LLAMA3 = dict(rope_type="llama3", rope_theta=1e4, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0)


def merged(space):
    return [tuple(merge.replace("Ġ", space).split()) for merge in MERGES]


def byte_level(special, begin=None):
    """A tokenizer in the manner of GPT-2, Llama 3 (with a begin) and Qwen."""
    words = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(merge) for merge in merged("Ġ")]
    tokenizer = Tokenizer(models.BPE({word: id for id, word in enumerate(words)}, merged("Ġ")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if begin:
        template = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))])
        tokenizer.post_processor = processors.Sequence([tokenizer.post_processor, template])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token=special[-1])


def sentence_pieces():
    """A tokenizer in the manner of Llama 2: bytes stand for letters that it does not know."""
    letters = list("▁abcdefghijklmnopqrstuvwxyzTC.,")
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *("".join(merge) for merge in merged("▁"))]
    model = models.BPE({word: id for id, word in enumerate(words)}, merged("▁"), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in words[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def gpt2():
    tokenizer = byte_level(["<|endoftext|>"])
    end = tokenizer.eos_token_id
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=PLACES, n_embd=32, n_layer=2, n_head=4, bos_token_id=end, eos_token_id=end
    )
    return tokenizer, transformers.GPT2LMHeadModel, config


def llama():
    tokenizer = sentence_pieces()
    config = transformers.LlamaConfig(**SIZES, vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2)
    return tokenizer, transformers.LlamaForCausalLM, config


def llama_scaled():
    tokenizer = byte_level(["<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>"], begin="<|begin_of_text|>")
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|eot_id|>")]
    config = transformers.LlamaConfig(
        **SIZES, vocab_size=len(tokenizer), head_dim=16, bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, tie_word_embeddings=True,
        attention_bias=True, mlp_bias=True, rope_parameters=dict(LLAMA3, original_max_position_embeddings=PLACES // 2),
    )  # fmt: skip
    return tokenizer, transformers.LlamaForCausalLM, config


def qwen2():
    tokenizer = byte_level(["<|endoftext|>"])
    end = tokenizer.eos_token_id
    config = transformers.Qwen2Config(
        **SIZES, vocab_size=len(tokenizer) + 7, bos_token_id=end, eos_token_id=end, tie_word_embeddings=True, rms_norm_eps=1e-5
    )
    return tokenizer, transformers.Qwen2ForCausalLM, config


def qwen3():
    tokenizer = byte_level(["<|endoftext|>", "<|im_end|>"])
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    rope = dict(rope_type="linear", rope_theta=1e3, factor=2.0)
    config = transformers.Qwen3Config(
        **SIZES, vocab_size=len(tokenizer), head_dim=12, bos_token_id=ends[1], eos_token_id=ends, rope_parameters=rope
    )
    return tokenizer, transformers.Qwen3ForCausalLM, config


MAKERS = {"gpt2": gpt2, "llama": llama, "llama-scaled": llama_scaled, "qwen2": qwen2, "qwen3": qwen3}


def draw(make, config, tokenizer, seed):
    """Every parameter anew; words and ends are likelier than others."""
    torch.manual_seed(seed)
    model = make(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.get_input_embeddings().weight.data *= 0.4
    table = model.get_output_embeddings().weight.data
    likely = [id for word, id in tokenizer.get_vocab().items() if word.strip("Ġ▁").isalpha() and word.isascii() or word[0] in "Ġ▁"]
    model.generation_config = transformers.GenerationConfig(bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id)
    table[likely] *= 2.0
    table[ends_of(model)] *= 4.0
    last = model.transformer.ln_f if config.model_type == "gpt2" else model.model.norm
    last.weight.data *= 8.0
    if config.model_type == "qwen2":
        # It is stored in 16 bits: what is read is the same in 32.
        for parameter in model.parameters():
            parameter.data = parameter.data.bfloat16().float()
    return model


def ends_of(model):
    ends = model.generation_config.eos_token_id
    return ends if isinstance(ends, list) else [ends]


def greedy(model, prompt):
    """The tokens behind a prompt, whether they came to an end, and by how much each choice was the best one."""
    ids, margin = list(prompt), float("inf")
    while len(ids) < len(prompt) + WRITTEN:
        best = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        if int(best.indices[0]) in ends_of(model):
            return ids[len(prompt) :], True, margin
        ids.append(int(best.indices[0]))
    return ids[len(prompt) :], False, margin


def answer(model, tokenizer, text):
    prompt = tokenizer(text).input_ids or [model.generation_config.bos_token_id]
    written, ended, margin = greedy(model, prompt)
    before, both = [tokenizer.decode(ids, skip_special_tokens=True) for ids in (prompt, prompt + written)]
    assert both.startswith(before)
    return {"text": text, "prompt": prompt, "written": written, "continuation": both[len(before) :]}, ended, margin


def check(model, tokenizer, case):
    """The same by `generate`, which an empty text is no input of."""
    ids = tokenizer(case["text"], return_tensors="pt").input_ids.long()
    found = model.generate(**({"inputs": ids} if ids.shape[1] else {}), do_sample=False, max_new_tokens=WRITTEN)[0].tolist()
    found = found[:-1] if found[-1] in ends_of(model) else found
    assert found == case["prompt"] + case["written"], (found, case)


def useful(answers):
    ends = [ended for _, ended, _ in answers]
    spaces = [case["continuation"].startswith(" ") for case, _, _ in answers]
    lengths = [len(case["written"]) for case, _, _ in answers]
    kinds = [len(set(case["written"])) for case, _, _ in answers]
    some = any(ends) and not all(ends) and any(spaces) and not all(spaces)
    return some and min(lengths) > 2 and max(kinds) > 5 and min(margin for _, _, margin in answers) > 0.005


def write(name, folder):
    tokenizer, make, config = MAKERS[name]()
    for seed in range(10_000):
        model = draw(make, config, tokenizer, seed)
        with torch.no_grad():
            answers = [answer(model, tokenizer, text) for text in TEXTS]
        if useful(answers):
            break
    for case, _, _ in answers:
        check(model, tokenizer, case)
    folder.mkdir(exist_ok=True)
    tokenizer.save_pretrained(folder)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, config.vocab_size, (2, 12), generator=generator)
    with torch.no_grad():
        logits = model(input_ids=tokens).logits[..., ::8]
    if config.model_type == "qwen2":
        model.bfloat16().save_pretrained(folder, max_shard_size="20KB")
    else:
        model.save_pretrained(folder)
    content = {"tokens": tokens.tolist(), "logits": logits.flatten().tolist(), "texts": [case for case, _, _ in answers]}
    (folder / "expected.json").write_text(json.dumps(content) + "\n")
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
