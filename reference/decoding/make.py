"""Writes processors.json for crates/model/src/decoding/search: what Hugging Face's logits processors make of logits.

Needs transformers and torch. Run it in this folder: python make.py
Each case has logits, the tokens of the answer so far, settings, and what becomes of the logits: `banned`, the tokens that
may not follow; `scores`, the logits of the others after the repetition penalty; `drawn`, the tokens that may be drawn
with their probabilities, after temperature, top-k and top-p. The end is token 0.
"""

import json
import random
from pathlib import Path

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

END = 0
VOCABULARY = 14
LONGEST = 12


def settings(choose):
    return {
        "repetition_penalty": choose.choice([1.0, 1.2, 2.0]),
        "no_repeat_ngram": choose.choice([0, 1, 2, 3]),
        "min_length": choose.choice([0, 4, LONGEST]),
        "temperature": choose.choice([0.5, 1.0, 1.7]),
        "top_k": choose.choice([None, 1, 3, 8]),
        "top_p": choose.choice([None, 0.3, 0.8, 0.95]),
    }


def processors(settings):
    first = [RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"])]
    if settings["no_repeat_ngram"]:
        first.append(NoRepeatNGramLogitsProcessor(settings["no_repeat_ngram"]))
    if settings["min_length"]:
        first.append(MinLengthLogitsProcessor(settings["min_length"], torch.tensor([END])))
    second = [TemperatureLogitsWarper(settings["temperature"])]
    if settings["top_k"]:
        second.append(TopKLogitsWarper(settings["top_k"]))
    if settings["top_p"]:
        second.append(TopPLogitsWarper(settings["top_p"]))
    return LogitsProcessorList(first), LogitsProcessorList(second)


def case(number):
    choose = random.Random(number)
    logits = [round(choose.uniform(-4, 4), 3) for _ in range(VOCABULARY)]
    # Few different tokens, so that runs come again, and some that are left.
    tokens = [choose.randrange(1, 5) for _ in range(choose.randrange(LONGEST))]
    chosen = settings(choose)
    first, second = processors(chosen)
    history = torch.tensor([tokens], dtype=torch.long)
    scores = first(history, torch.tensor([logits]))
    drawn = torch.softmax(second(history, scores.clone())[0].double(), 0).tolist()
    scores = scores[0].tolist()
    return {
        **chosen,
        "logits": logits,
        "tokens": tokens,
        "banned": [token for token, score in enumerate(scores) if score == -torch.inf],
        "scores": [[token, round(score, 6)] for token, score in enumerate(scores) if score != -torch.inf],
        "drawn": [[token, round(share, 7)] for token, share in enumerate(drawn) if share > 0],
    }


def main():
    lines = ",\n".join(json.dumps(case(number)) for number in range(40))
    Path(__file__).with_name("processors.json").write_text(f"[\n{lines}\n]\n")


main()
