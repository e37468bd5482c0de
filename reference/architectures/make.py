"""Writes the golden files of crates/model/src/architectures: small random checkpoints, and what `transformers` makes of them.

Needs torch, transformers, efficientnet-lite-pytorch and pillow. Run it in this folder: python make.py
Each architecture has a folder in Hugging Face's layout with an expected.json beside it. Of texts: the tokens, how many of each
text are real, and the last hidden states of the real ones; some texts, and the means of their states, of length one. Of
pictures: the mean of the last map of picture.png, of length one.
"""

import json
from pathlib import Path

import numpy
import torch
import transformers
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

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


SIZES = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=12,
    hidden_dropout_prob=0.1,
)
write("bert", randomise(transformers.BertModel(transformers.BertConfig(**SIZES))))
roberta = transformers.RobertaModel(transformers.RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=0, layer_norm_eps=1e-5))
write("roberta", randomise(roberta))


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


write_efficientnet("efficientnet-lite", 0.1, 0.1, 45)
