"""Writes the golden files of encoders of pictures, and of those of pictures and texts in one space: small random checkpoints,
and what `transformers` makes of them.

Needs torch, transformers and pillow. Run it in this folder: python make_pictures.py [NAME]…
Each architecture has a folder in Hugging Face's layout, with picture.png of the size that it reads, large.png of another one, and
an expected.json: of picture.png the last states of the patches and the pooled vector, and the probabilities of the labels where
there are some; of large.png the pooled vector. Of ResNet: the pooled vectors of both, of length one, and the labels of the first. Of two encoders: the embeddings of the pictures and of some texts, the last states of
the texts' tokens, and the similarities of picture.png with all texts, as they are scaled.
"""

import json
import string
import sys
from pathlib import Path

import numpy
import torch
import transformers
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

FOLDER = Path(__file__).parent
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
TEXTS = ["a photo of a cat", "The  DOG's dog, again!", "", "one two three four five six seven eight nine ten"]
LONGEST = 16
MERGES = ["t h", "th e</w>", "a t</w>", "d o", "do g</w>", "o n", "on e</w>"]
SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def randomise(model):
    """Every parameter anew, the ones and zeros of norms, scales and biases too."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "logit" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def write_pictures(folder, side):
    """One of the size that is read, and a larger one without fine detail."""
    random = numpy.random.default_rng(1)
    pixels = random.integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    coarse = Image.fromarray(random.integers(0, 256, (4, 6, 3), dtype=numpy.uint8))
    coarse.resize((2 * side + 14, side + 11), Image.Resampling.BICUBIC).save(folder / "large.png")
    return [Image.open(folder / name) for name in ("picture.png", "large.png")]


def save(folder, model, processor):
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)
    processor.save_pretrained(folder)


def states_of(output, special):
    """The last states of the patches, behind the other tokens."""
    return output.last_hidden_state[0, special:].flatten().tolist()


def write_encoder(name, model, processor, side, special):
    folder = FOLDER / name
    save(folder, model, processor)
    picture, large = (processor(image, return_tensors="pt").pixel_values for image in write_pictures(folder, side))
    tower = getattr(model, model.base_model_prefix, model)
    with torch.no_grad():
        seen, pooled = tower(picture), tower(large).last_hidden_state[0, 0]
        content = {
            "states": states_of(seen, special),
            "pooled": seen.last_hidden_state[0, 0].tolist(),
            "large": pooled.tolist(),
        }
        if hasattr(model, "classifier"):
            names = model.config.id2label.values()
            content["labels"] = dict(zip(names, model(picture).logits[0].softmax(0).tolist()))
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


def write_resnet(name, **settings):
    """Every number anew, those of norms and their statistics too, so that most channels live and no label is certain."""
    labels = dict(id2label={0: "zebra", 1: "apple", 2: "moon"}, label2id={"zebra": 0, "apple": 1, "moon": 2})
    config = transformers.ResNetConfig(embedding_size=6, hidden_sizes=[8, 12], depths=[2, 1], **settings, **labels)
    model = transformers.ResNetForImageClassification(config).eval()
    torch.manual_seed(1)
    for key, value in model.state_dict().items():
        if value.dtype == torch.float32:
            drawn = torch.rand_like(value) if key.endswith("running_var") else torch.randn_like(value) * 0.4
            value.copy_(drawn + 0.5 * key.endswith(("running_var", "normalization.bias")))
    model.classifier[1].weight.data *= 0.1
    processor = transformers.ConvNextImageProcessorPil(size=dict(shortest_edge=28), crop_pct=0.875, resample=3)
    folder = FOLDER / name
    save(folder, model, processor)
    picture, large = (processor(image, return_tensors="pt").pixel_values for image in write_pictures(folder, 32))
    vector = lambda pixels: torch.nn.functional.normalize(model.resnet(pixels).pooler_output[0].flatten(), dim=0).tolist()
    with torch.no_grad():
        shares = model(picture).logits[0].softmax(0).tolist()
        content = {"embedding": vector(picture), "large": vector(large), "labels": dict(zip(config.id2label.values(), shares))}
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


def letters():
    """The letters of bytes, in the order of GPT-2's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def clip_tokenizer(folder):
    """Bytes and some merges, with a mark at the end of words, as CLIP's own tokenizer has them."""
    words = letters() + [letter + "</w>" for letter in letters()] + [merge.replace(" ", "") for merge in MERGES]
    words += ["<|startoftext|>", "<|endoftext|>"]
    id = {word: place for place, word in enumerate(words)}
    merges = [tuple(merge.split()) for merge in MERGES]
    model = models.BPE(id, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix="")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    begin, end = ("<|startoftext|>", id["<|startoftext|>"]), ("<|endoftext|>", id["<|endoftext|>"])
    tokenizer.post_processor = processors.RobertaProcessing(end, begin, trim_offsets=False, add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([begin[0], end[0]])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    tokenizer.enable_truncation(LONGEST)
    return tokenizer, len(words)


def write_aligned(name, model, processor, side, special, tokens):
    folder = FOLDER / name
    save(folder, model, processor)
    picture, large = (processor(image, return_tensors="pt").pixel_values for image in write_pictures(folder, side))
    with torch.no_grad():
        found = [model(input_ids=torch.tensor([ids]), pixel_values=picture) for ids in tokens]
        seen = model.vision_model(picture)
        content = {
            "texts": TEXTS,
            "states": states_of(seen, special),
            "pooled": seen.pooler_output[0].tolist(),
            "image": found[0].image_embeds[0].tolist(),
            "large": model(input_ids=torch.tensor([tokens[0]]), pixel_values=large).image_embeds[0].tolist(),
            "text_states": [model.text_model(torch.tensor([ids])).last_hidden_state[0].flatten().tolist() for ids in tokens],
            "embeddings": [one.text_embeds[0].tolist() for one in found],
            "similarities": [one.logits_per_image[0, 0].item() for one in found],
        }
    (folder / "expected.json").write_text(json.dumps(content) + "\n")


def write_clip(name, texts, vision, processor, side):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    tokenizer, size = clip_tokenizer(folder)
    ends = dict(bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1)
    texts = dict(SIZES, vocab_size=size, max_position_embeddings=LONGEST, **ends, **texts)
    config = transformers.CLIPConfig(text_config=texts, vision_config=vision, projection_dim=12)
    model = randomise(transformers.CLIPModel(config))
    write_aligned(name, model, processor, side, 1, [tokenizer.encode(text).ids for text in TEXTS])


def siglip_tokenizer(folder):
    """Whole words, with an end that fills texts up too."""
    words = "<pad> </s> <unk> a photo of cat the dog dogs again one two three four five six seven eight nine ten".split()
    tokenizer = Tokenizer(models.WordLevel({word: id for id, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens(words[:3])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings) + "\n")
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding(pad_id=1, pad_token="</s>", length=LONGEST)
    return tokenizer, len(words)


def canonical(text):
    """As SiglipTokenizer has texts before they are tokenised."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


def write_siglip(name, side):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    tokenizer, size = siglip_tokenizer(folder)
    ends = dict(bos_token_id=None, eos_token_id=1, pad_token_id=0)
    texts = dict(SIZES, intermediate_size=32, vocab_size=size, max_position_embeddings=LONGEST, projection_size=20, **ends)
    vision = dict(SIZES, hidden_size=20, intermediate_size=40, image_size=side, patch_size=8)
    model = randomise(transformers.SiglipModel(transformers.SiglipConfig(text_config=texts, vision_config=vision)))
    model.logit_scale.data.fill_(4.76)
    model.logit_bias.data.fill_(-12.9)
    processor = transformers.SiglipImageProcessorPil(size=dict(height=side, width=side))
    write_aligned(name, model, processor, side, 0, [tokenizer.encode(canonical(text)).ids for text in TEXTS])


def crop(kind, shortest, side):
    crop = dict(height=side, width=side)
    return kind(size=dict(shortest_edge=shortest), crop_size=crop)


def wanted(name):
    return name in sys.argv[1:] or not sys.argv[1:]


if wanted("vit"):
    # Of pictures of 26 pixels the last two are not seen.
    labels = dict(id2label={0: "zebra", 1: "apple", 2: "moon"}, label2id={"zebra": 0, "apple": 1, "moon": 2})
    config = transformers.ViTConfig(**SIZES, intermediate_size=40, image_size=26, patch_size=8, **labels)
    processor = transformers.ViTImageProcessorPil(size=dict(height=26, width=26))
    write_encoder("vit", randomise(transformers.ViTForImageClassification(config)), processor, 26, 1)
# Their places are learnt for five rows and columns, and pictures have three.
if wanted("dinov2"):
    config = transformers.Dinov2Config(**SIZES, image_size=40, patch_size=8)
    processor = crop(transformers.BitImageProcessorPil, 24, 24)
    write_encoder("dinov2", randomise(transformers.Dinov2Model(config)), processor, 24, 1)
if wanted("dinov2_with_registers"):
    config = transformers.Dinov2WithRegistersConfig(**SIZES, image_size=40, patch_size=8, num_register_tokens=2, qkv_bias=False)
    processor = crop(transformers.BitImageProcessorPil, 24, 24)
    write_encoder("dinov2_with_registers", randomise(transformers.Dinov2WithRegistersModel(config)), processor, 24, 3)
if wanted("resnet"):
    write_resnet("resnet", layer_type="bottleneck")
if wanted("resnet-basic"):
    write_resnet("resnet-basic", layer_type="basic", downsample_in_first_stage=True)
if wanted("clip"):
    sizes = dict(SIZES, intermediate_size=40, image_size=24, patch_size=8)
    write_clip("clip", dict(intermediate_size=32), sizes, crop(transformers.CLIPImageProcessorPil, 24, 24), 24)
if wanted("clip-gelu"):
    vision = dict(SIZES, hidden_size=20, intermediate_size=40, image_size=24, patch_size=6, hidden_act="gelu", layer_norm_eps=1e-6)
    write_clip(
        "clip-gelu",
        dict(intermediate_size=48, hidden_act="gelu", layer_norm_eps=1e-6),
        vision,
        crop(transformers.CLIPImageProcessorPil, 24, 24),
        24,
    )
if wanted("siglip"):
    write_siglip("siglip", 24)
