"""Writes the golden files of the n-gram models: python make.py PATH_TO_LMPLZ

`lmplz` is KenLM's trainer (https://kheafield.com/code/kenlm), built from the source package of PyPI's `kenlm`; that
package's Python module scores the sentences. All texts are generated here.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import kenlm

HERE = Path(__file__).parent
SUBJECTS = ["the dog", "a cat", "the old man", "my sister", "a bird", "the ship"]
VERBS = ["sees", "follows", "hears", "likes", "paints"]
OBJECTS = ["the sea", "a red house", "the old house", "my garden", "a tree", "the dog", "a song"]
NAMES = [a + b for a in ["ba", "ko", "mi", "ru", "sel", "ta"] for b in ["lin", "mo", "na", "rek", "su", "ti", "vor"]]
ADVERBS = ["today", "again", "at night", "in the garden", "slowly"]
QUESTIONS = ["the dog sees the sea", "a cat paints a red zebra again", "", "house", "sea sea the the", "who knows"]


def corpus(sentences):
    """Sentences with a skewed choice of words, so that every count of counts is there."""
    draw = random.Random(1)
    pick = lambda words: words[min(int(draw.expovariate(4 / len(words))), len(words) - 1)]
    lines = []
    for _ in range(sentences):
        parts = [pick(SUBJECTS), pick(VERBS), pick(OBJECTS)]
        if draw.random() < 0.4:
            parts.append(pick(ADVERBS))
        if draw.random() < 0.35:
            parts.append("with " + NAMES[int(draw.random() ** 2 * len(NAMES))])
        if draw.random() < 0.15:
            parts += ["and", pick(VERBS), pick(OBJECTS)]
        lines.append(" ".join(parts))
    # A word of its own at the end: lmplz counts the actual, not the adjusted, count of what comes last.
    return lines + ["the lighthouse keeper"]


def train(name, lines, order, *arguments):
    text = "".join(line + "\n" for line in lines)
    command = [sys.argv[1], "-o", str(order), "-S", "64M", "-T", tempfile.gettempdir(), "--discount_fallback", *arguments]
    arpa = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
    (HERE / f"{name}.arpa").write_bytes(arpa)
    if order == 1:
        return []  # KenLM's reader wants two orders.
    model = kenlm.Model(str(HERE / f"{name}.arpa"))
    return [[sentence, model.score(sentence)] for sentence in lines[:5] + QUESTIONS]


def main():
    lines = corpus(150)
    (HERE / "corpus.txt").write_text("".join(line + "\n" for line in lines))
    few = ["a b a b", "b a b", "a b a b a", "a c"]
    allowed = HERE / "allowed.txt"
    counts = Counter(word for line in lines for word in line.split())
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:40]
    allowed.write_text(" ".join(kept))
    scores = {
        "trigram": train("trigram", lines, 3),
        "unigram": train("unigram", lines, 1),
        "pruned": train("pruned", lines, 4, "--prune", "0", "0", "1", "2"),
        "limited": train("limited", lines, 3, "--limit_vocab_file", str(allowed)),
        "fallback": train("fallback", few, 5),
    }
    (HERE / "scores.json").write_text(json.dumps(scores, indent=0) + "\n")
    (HERE / "allowed.txt").unlink()
    (HERE / "few.txt").write_text("".join(line + "\n" for line in few))


main()
