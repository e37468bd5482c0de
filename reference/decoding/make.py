"""Writes the golden files of crates/model/src/decoding/search: what Hugging Face's generation does.

Needs transformers and torch. Run it in this folder: python make.py
searches.json: `logits` of the next token after each token, and the answers that greedy and beam search find from token
1, which no answer has, with the scores of a beam's. A length penalty of 0 is the one that both programs define alike.
processors.json: logits, the tokens of the answer so far, settings, and what becomes of the logits. `banned` are the
tokens that may not follow, `scores` the logits of the others after the repetition penalty, `drawn` the tokens that may
be drawn with their probabilities, after temperature, top-k and top-p. The end is token 0.
"""

import json
import random
from pathlib import Path

import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.modeling_outputs import CausalLMOutput

END = 0
BEGIN = 1
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


class TableConfig(PretrainedConfig):
    model_type = "table"


class Table(PreTrainedModel, GenerationMixin):
    """A model whose logits depend on the last token."""

    config_class = TableConfig

    def __init__(self, logits):
        super().__init__(TableConfig(vocab_size=len(logits), bos_token_id=BEGIN, eos_token_id=END, pad_token_id=END))
        self.table = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, input_ids, **_):
        return CausalLMOutput(logits=self.table[input_ids])

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}


def search(number):
    choose = random.Random(number)
    logits = [[round(choose.uniform(-3, 3), 3) for _ in range(9)] for _ in range(9)]
    width, min_length, no_repeat_ngram = choose.choice([1, 2, 3, 5]), choose.choice([0, 3]), choose.choice([0, 2])
    beams = {"length_penalty": 0.0, "early_stopping": "never"} if width > 1 else {}
    with torch.no_grad():
        found = Table(logits).generate(
            torch.tensor([[BEGIN]]),
            num_beams=width,
            num_return_sequences=width,
            do_sample=False,
            use_cache=False,
            max_new_tokens=7,
            min_new_tokens=min_length,
            no_repeat_ngram_size=no_repeat_ngram,
            suppress_tokens=[BEGIN],
            return_dict_in_generate=True,
            output_scores=True,
            **beams,
        )
    answers = [[token for token in answer[1:] if token != END] for answer in found.sequences.tolist()]
    scores = found.sequences_scores.tolist() if width > 1 else []
    return {
        "width": width,
        "min_length": min_length,
        "no_repeat_ngram": no_repeat_ngram,
        "logits": logits,
        "answers": answers,
        "scores": [round(score, 4) for score in scores],
    }


def write(name, cases):
    lines = ",\n".join(json.dumps(case) for case in cases)
    Path(__file__).with_name(name).write_text(f"[\n{lines}\n]\n")


def main():
    write("processors.json", map(case, range(40)))
    write("searches.json", map(search, range(30)))


main()
