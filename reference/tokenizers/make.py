"""Golden files for tokenizers: Hugging Face tokenizers, tiktoken and jieba on texts that are made here.

    python make.py

Writes next to itself: `*.json` for five public kinds of vocabulary and `ranks.tiktoken`, `texts.json` with the texts,
`expected.json` with what each vocabulary gives for each text and back, `trained.json` with vocabularies that the Python
trainers make of the texts, `chinese.json` with segmented sentences. Made with tokenizers 0.23.3, tiktoken 0.14.0 and
jieba 0.42.1.
"""

import base64
import json
import logging
import random
from pathlib import Path

import jieba
import tiktoken
from tiktoken_ext import openai_public
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(__file__).parent
jieba.setLogLevel(logging.WARNING)

SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind.",
    "Über den Wölkchen: Straße, Größe, naïve façade, Čeština, Ångström, Đorđe, Ğ, İstanbul.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. Ёжик и Йод.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ΟΔΟΣ, ὕδωρ, ἀρχή.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر. السَّلامُ عليكم ١٢٣",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה. שָׁלוֹם עולם",
    "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง ผู้เฒ่าซึ่งมีอาชีพเป็นฅนขาย",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले राम।",
    "我来到北京清华大学，学习自然语言处理。他来到了网易杭研大厦！",
    "いろはにほへと ちりぬるを。ワタシハ日本語ガスキデス。ﾊﾝｶｸ",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 thumbs, 🇨🇿🇳🇱 flags, ❤️ heart 🙂🙂",
    "https://example.org/path/to?query=1&other=%20two#part and mail@example.org",
    "3.14159 1,000,000 12/31/1999 0x1F 1e-9 ½ ² ① Ⅳ ٣",
    "def f(x):\n    return {'a': [1, 2], \"b\": x ** 2}  # comment\n\n\tif (x != y) && z;\r\n",
    "I'm you're we've he'll she'd it's DON'T WE'LL ’twas",
    "ﬁne ﬂow Ｗｉｄｅ ｋａｔａ ㎏ ™ … “quotes” ‘single’ — dash – en",
    "e\u0301 a\u030a o\u0308\u0323 \u1100\u1161\u11a8 q\u0307\u0323",
    "control \u0000\u0007\u001b[0m\u007f\u0085 \ufeffmark \u200bzero\u200djoin \u00a0nbsp \u3000wide",
    "[PAD] [UNK] [CLS] <s> </s> <pad> <|endoftext|> ▁ ## Ġ",
    "   leading and   inner   spaces and trailing   ",
    "\n\n\nlines\n\n and \t\ttabs\t",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "ab" * 200,
    "字" * 60,
    "",
    " ",
    "\n",
    "a",
    "\U0010ffff\U00020000\u0378",
]


def made_up(count):
    """Texts of made-up words with an uneven distribution, so that counts differ."""
    generator = random.Random(7)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(120)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return [" ".join(generator.choices(words, weights, k=25)) + "." for _ in range(count)]


def bert(texts):
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=900, special_tokens=names, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(8)
    return tokenizer


def gpt2(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def unigram(texts):
    names = ["<s>", "<pad>", "<unk>", "</s>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=900, special_tokens=names, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 3)]
    )
    return tokenizer


def llama(texts):
    """As Llama's conversions are: no pre-tokenizer, unknown characters as bytes."""
    names = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=names + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False, limit_alphabet=80
    )
    tokenizer.train_from_iterator(texts, trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][: len(names)]
    document["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def words(texts):
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.WordLevelTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def byte_of():
    """From the characters of byte-level vocabularies to their bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def ranks(tokenizer):
    """The 256 bytes, then a byte-level vocabulary's merges in their order."""
    table = byte_of()
    tokens = {bytes([byte]): byte for byte in range(256)}
    for left, right in json.loads(tokenizer.to_str())["model"]["merges"]:
        tokens.setdefault(bytes(table[c] for c in left + right), len(tokens))
    return tokens


def tiktokens(tokens, texts):
    patterns = {
        "gpt2": openai_public.r50k_pat_str,
        "cl100k_base": pattern_of("cl100k_base"),
        "o200k_base": pattern_of("o200k_base"),
        r"\p{L}+|[^\p{L}]": r"\p{L}+|[^\p{L}]",
    }
    result = {}
    for name, pattern in patterns.items():
        encoding = tiktoken.Encoding(name="made", pat_str=pattern, mergeable_ranks=tokens, special_tokens={})
        result[name] = [encoding.encode_ordinary(text) for text in texts]
    return result


def pattern_of(name):
    """A pattern of tiktoken's own, without the download of its ranks."""
    load = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return getattr(openai_public, name)()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = load


def is_chinese(character):
    return any(low <= ord(character) <= high for low, high in [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF)])


def separated(text, hmm):
    """Spaces between jieba's words where one of two neighbours is written in Chinese characters."""
    result = ""
    for word in jieba.cut(text, HMM=hmm):
        if result and word:
            before, after = result[-1], word[0]
            if (is_chinese(before) or is_chinese(after)) and not before.isspace() and not after.isspace():
                result += " "
        result += word
    return result


CHINESE = [
    "我来到北京清华大学，学习自然语言处理。",
    "他来到了网易杭研大厦",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造",
    "这张图片里有一个红色的圆形和三只黑猫。",
    "图中的男人在做什么？他正在骑自行车。",
    "用GPU训练model，2024年很快 3.5%！",
    "工信处女干事每月经过下属科室都要亲口交代24口交换机等技术性器件的安装工作",
    "結過婚的和尚未結過婚的",
    "乒乓球拍卖完了",
    "李小福是创新办主任也是云计算方面的专家",
    "混合 English words 和中文，emoji 🙂 也在。",
    "字字字字字字",
    "no Chinese at all: a+b",
    "",
]


def trained(texts):
    """Vocabularies of the trainers that sensorium uses too, on texts of made-up words."""
    names = ["[PAD]", "[UNK]", "[BOS]", "[EOS]"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=500,
            min_frequency=2,
            special_tokens=names,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            max_token_length=32,
            show_progress=False,
        ),
    )
    piece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    piece.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=220, min_frequency=2, special_tokens=names, show_progress=False)
    )
    one = Tokenizer(models.Unigram())
    one.pre_tokenizer = pre_tokenizers.Metaspace()
    one.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=150, special_tokens=names, unk_token="[UNK]", show_progress=False)
    )
    in_order = lambda tokenizer: [name for name, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    return {
        "texts": texts,
        "bpe": in_order(bpe),
        "word_piece": in_order(piece),
        "unigram": json.loads(one.to_str())["model"]["vocab"],
    }


def write(name, document):
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    (FOLDER / name).write_text(text + "\n", encoding="utf-8")


def main():
    corpus = SENTENCES * 2 + made_up(60)
    texts = SENTENCES + made_up(2)
    expected = {}
    for make in [bert, gpt2, unigram, llama, words]:
        tokenizer = make(corpus)
        (FOLDER / f"{make.__name__}.json").write_text(tokenizer.to_str() + "\n", encoding="utf-8")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        ids = [tokenizer.encode(text).ids for text in texts]
        expected[make.__name__] = {"ids": ids, "decoded": [tokenizer.decode(tokens) for tokens in ids]}
        if make is gpt2:
            tokens = ranks(tokenizer)
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in tokens.items()]
    (FOLDER / "ranks.tiktoken").write_text("".join(lines))
    bare = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=True)
    write("texts.json", texts)
    expected["without_accents"] = [bare.normalize_str(text) for text in texts]
    expected["tiktoken"] = tiktokens(tokens, texts)
    write("expected.json", expected)
    write("trained.json", trained(made_up(40)))
    write("chinese.json", [[text, separated(text, True), separated(text, False)] for text in CHINESE])


if __name__ == "__main__":
    main()
