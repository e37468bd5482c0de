"""Writes the golden files of crates/train/src/metrics: generated and hand-made texts, scores and numbers, and what the
reference programs measure on them.

Needs sacrebleu 2.6.0, jiwer 4.0.0, pycocoevalcap 1.2 (and java, for its tokeniser), nltk 3.10.4, scikit-learn 1.9.1,
scipy 1.17.1, torch, and checkouts of two programs that are not packages. Run it in this folder:
python make.py CHECKOUT_OF_GT-Vision-Lab/VQA CHECKOUT_OF_batra-mlp-lab/visdial-challenge-starter-pytorch
"""

import importlib.util
import json
import random
import re
import sys
from pathlib import Path

import jiwer
import numpy as np
import sacrebleu
import torch
from nltk.stem.api import StemmerI
from nltk.translate.meteor_score import meteor_score
from pycocoevalcap.cider import cider_scorer
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from sacrebleu.metrics import BLEU
from scipy import stats
from sklearn import metrics

FOLDER = Path(__file__).parent
RANDOM = random.Random(5)
TOKENIZERS = ("13a", "zh", "char")


def write(name, value):
    text = json.dumps(value, ensure_ascii=False, indent=None, separators=(",", ":"))
    # One line for each row, so that a change can be read.
    text = text.replace("},{", "},\n{").replace("],[\"", "],\n[\"")
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


# Captions.

NOUNS = "dog cat child bird train boat horse bus ball tree".split()
COLOURS = "red blue small large old black".split()
PLACES = "in the park|on a table|near the water|under a bridge|at night".split("|")
VERBS = "sits runs sleeps stands waits".split()
HARD = [
    ("It's 3.5 km, isn't it?", ["It's 3,5 km - isn't it?", "It is 3.5 km."]),
    ("a man's hat (red) & \"blue\" shoes", ["the man's hat [red] & 'blue' shoes"]),
    ("a-b 1-2 5-x $3.00, 50%!", ["a-b 1 - 2 5-x $3.00 , 50 % !", "nothing of the kind"]),
    ("", ["a dog"]),
    ("dog", ["dog"]),
    ("a dog", ["a dog"]),
    ("the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("Ein Haus steht dort – „alt“.", ["Ein altes Haus steht dort."]),
    ("一只猫在桌子上睡觉。", ["一只黑猫睡在桌子上。", "猫 is sleeping 在桌子上"]),
    ("une &quot;photo&quot; d&amp;une <skipped>plage", ["une \"photo\" d&une plage"]),
    ("A DOG runs", ["a dog runs"]),
]


def caption():
    return f"a {RANDOM.choice(COLOURS)} {RANDOM.choice(NOUNS)} {RANDOM.choice(VERBS)} {RANDOM.choice(PLACES)}"


def changed(text):
    words = text.split()
    for _ in range(RANDOM.randrange(4)):
        place = RANDOM.randrange(len(words))
        action = RANDOM.randrange(4)
        if action == 0 and len(words) > 1:
            del words[place]
        elif action == 1:
            words.insert(place, RANDOM.choice(NOUNS))
        elif action == 2:
            words[place] = RANDOM.choice(COLOURS)
        else:
            RANDOM.shuffle(words)
    return " ".join(words)


def plain_words(text):
    """Lower case and ASCII punctuation off: any cut will do for measures that are given words."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


class NoStems(StemmerI):
    def stem(self, token):
        return token


class NoSynonyms:
    def synsets(self, _):
        return []


def cider(rows, plain):
    """pycocoevalcap's Cider is CIDEr-D. CIDEr is the same program without clipping and length penalty, which is how the
    authors' own programs (vrama91/cider) differ."""
    cider_scorer.min = (lambda left, right: left) if plain else min
    scorer = cider_scorer.CiderScorer(n=4, sigma=float("inf") if plain else 6.0)
    for row in rows:
        scorer += (row["hypothesis_words"], row["reference_words"])
    mean, scores = scorer.compute_score()
    return float(mean), [float(score) for score in scores]


def captions():
    rows = [{"hypothesis": hypothesis, "references": references} for hypothesis, references in HARD]
    for _ in range(30):
        base = caption()
        rows.append({"hypothesis": changed(base), "references": [changed(base) for _ in range(RANDOM.randint(1, 4))]})
    for row in rows:
        row["hypothesis_words"] = plain_words(row["hypothesis"])
        row["reference_words"] = [plain_words(text) for text in row["references"]]
        row["sentence_bleu"] = {
            name: sacrebleu.sentence_bleu(row["hypothesis"], row["references"], tokenize=name).score
            for name in TOKENIZERS
        }
        row["rouge_l"] = Rouge().calc_score([row["hypothesis_words"]], row["reference_words"])
        row["meteor_exact"] = meteor_score(
            [text.split() for text in row["reference_words"]],
            row["hypothesis_words"].split(),
            stemmer=NoStems(),
            wordnet=NoSynonyms(),
        )
    out = {"bleu": {}}
    for name, plain in (("cider", True), ("cider_d", False)):
        out[name], scores = cider(rows, plain)
        for row, score in zip(rows, scores):
            row[name] = score
    for name in TOKENIZERS:
        out["bleu"][name] = corpus_bleu(rows, name)
    out["bleu_of_three"] = corpus_bleu(rows[:3], "13a")
    write("captions", out | {"rows": rows})


def corpus_bleu(rows, tokenizer):
    most = max(len(row["references"]) for row in rows)
    streams = [[(row["references"] + [None] * most)[place] for row in rows] for place in range(most)]
    return BLEU(tokenize=tokenizer).corpus_score([row["hypothesis"] for row in rows], streams).score


def tokens():
    signs = list("ab19.,-'/&;!()[]{}<>\"$%^_`~|\\@#*+=?: \n\t–—…“”’é中。，！𠀀ａ€→😀\u00a0\u3000\u001c")
    texts = [text for row in HARD for text in [row[0], *row[1]]]
    texts += ["".join(RANDOM.choice(signs) for _ in range(RANDOM.randint(1, 40))) for _ in range(60)]
    texts += ["a..b", "1.,2", "...", "1-2-3", "a-\nb", "-\n", "&amp;lt;", "  ", "3.", ".3", "a.b,c.4"]
    cut = {name: BLEU(tokenize=name)._preprocess_segment for name in TOKENIZERS}
    words = lambda name, text: " ".join(cut[name](text).split())
    write("tokens", [{"text": text} | {name: words(name, text) for name in TOKENIZERS} for text in texts])


CAPTIONS = """A man riding a wave on top of a surfboard.
Two dogs, one black and one white, are playing in the snow!
The dog's ball isn't in the basket; it's under the table.
A woman can't find her t-shirt
I'll say they're here, we've seen them and he'd know
A sign that says "STOP" on a street corner
a 3.5 inch disk and 1,000 papers
It is 10:30 on the clock
a black-and-white photo of a bus
You cannot see the cat: it sleeps
a bowl of fruit -- apples, pears & plums
salt & pepper, 50% off
a price of $5 on the tag
What is this? A bird...
the children's toys lie on the floor
The dogs' beds are empty
une photo d'un café à la plage
ein großes Haus am See
a 'quoted' word
one/two
a man at the 3rd floor
TV screens show the NEWS
a #1 fan
An old-fashioned car, parked.
it was 5 o'clock
a man who's tall wasn't there
rock and roll, and more
two 2x4 boards
A 24-hour shop
she said: 'hello'
a cat; a dog; a bird
well , spaced words .
a man's and a woman's hats
They don't , won't and shouldn't
a self-portrait of van gogh""".split("\n")


def caption_words():
    cut = PTBTokenizer().tokenize({row: [{"caption": text}] for row, text in enumerate(CAPTIONS)})
    write("caption_words", [{"caption": text, "words": cut[row][0]} for row, text in enumerate(CAPTIONS)])


# Transcripts.


def transcripts():
    pairs = [("", ""), ("", "a b"), ("a b", ""), ("a", "a"), ("a b", "b c"), ("  a  b ", "a b"), ("Äpfel und", "Apfel und")]
    pairs += [("你好 世界", "你 好世界"), ("a b c d", "d c b a"), ("kitten sitting", "sitting kitten"), ("😀 a", "a 😀")]
    for length in (3, 6, 12, 30, 90):
        for letters in ("ab", "abc", "abcdefgh"):
            for _ in range(4):
                pick = lambda: " ".join(RANDOM.choice(letters) for _ in range(RANDOM.randrange(length)))
                pairs.append((pick(), pick()))
    rows = []
    counts = lambda out: [out.hits, out.substitutions, out.deletions, out.insertions]
    for reference, hypothesis in pairs:
        words = jiwer.process_words(reference, hypothesis)
        characters = jiwer.process_characters(reference, hypothesis)
        row = {"reference": reference, "hypothesis": hypothesis, "wer": words.wer, "cer": characters.cer}
        rows.append(row | {"words": counts(words), "characters": counts(characters)})
    references, hypotheses = map(list, zip(*pairs))
    wer, cer = jiwer.wer(references, hypotheses), jiwer.cer(references, hypotheses)
    write("transcripts", {"wer": wer, "cer": cer, "rows": rows})


# Answers.


def official_evaluation(checkout):
    source = (Path(checkout) / "PythonEvaluationTools/vqaEvaluation/vqaEval.py").read_text()
    # The program is written for Python 2.
    scope = {}
    exec(re.sub(r'print "(.*)"', r'print("\1")', source), scope)
    return scope["VQAEval"]


class Answers:
    def __init__(self, qa):
        self.qa = qa

    def getQuesIds(self):
        return list(self.qa)


def answers(checkout):
    evaluation = official_evaluation(checkout)
    program = evaluation(Answers({}), None)
    plain = lambda text: program.processDigitArticle(program.processPunctuation(text.replace("\n", " ").replace("\t", " ").strip()))
    texts = sorted(set(program.contractions) | set(program.contractions.values()))
    texts += ["The Dog", "a an the", "Two dogs.", "3.5", "U.S.", "1,000 people", "1,000; people!", "yes, it is", "yes,it is"]
    texts += ["black/white", "black / white", "t-shirt", "t - shirt", "$5.00", "(none)", "ten zero", "don t", "Dont know?"]
    texts += ["", " ", "\n a\tb ", "?", "....", "." * 40, "é à", "😀 !", "the 'dog'", "what's up?!", "a_b", "x=y+z", ".5", "5."]
    questions = {}
    choices = ["dog", "the dog", "Dog.", "cat", "two", "2", "dont know", "don't know", "yes, no"]
    for row in range(60):
        kinds = RANDOM.sample(choices, RANDOM.randint(1, 4))
        people = [RANDOM.choice(kinds) for _ in range(10 if row < 50 else RANDOM.randint(2, 9))]
        questions[row] = (RANDOM.choice(kinds + choices[:1]), people)
    ground = {
        row: {
            "question_type": "any",
            "answer_type": "any",
            "answers": [{"answer": text, "answer_id": place} for place, text in enumerate(people)],
        }
        for row, (_, people) in questions.items()
    }
    given = {row: {"answer": answer} for row, (answer, _) in questions.items()}
    program = evaluation(Answers(ground), Answers(given), n=14)
    program.evaluate()
    rows = [
        {"answer": answer, "people": people, "score": program.evalQA[row] / 100}
        for row, (answer, people) in questions.items()
    ]
    write("answers", {"plain": [[text, plain(text)] for text in texts], "questions": rows})


# Ranks.


def challenge_metrics(checkout):
    spec = importlib.util.spec_from_file_location("visdial", Path(checkout) / "visdialch/metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ranks(checkout):
    challenge = challenge_metrics(checkout)
    sparse, dense = challenge.SparseGTMetrics(), challenge.NDCG()
    rows, found = [], []
    for _ in range(12):
        scores = RANDOM.sample(range(-50, 50), 20)
        relevances = [RANDOM.choice([0, 0, 0, 0.2, 0.5, 1]) for _ in scores]
        target = RANDOM.randrange(len(scores))
        relevances[target] = 1
        ndcg = metrics.ndcg_score([relevances], [scores], k=sum(value != 0 for value in relevances))
        rows.append({"scores": scores, "relevances": relevances, "target": target, "ndcg": float(ndcg)})
        found.append(int(challenge.scores_to_ranks(torch.tensor([[scores]]))[0, 0, target]))
    scores = torch.tensor([row["scores"] for row in rows])
    sparse.observe(scores[:, None], torch.tensor([[row["target"]] for row in rows]))
    dense.observe(scores, torch.tensor([row["relevances"] for row in rows]))
    official = sparse.retrieve()
    precise = np.array(found, dtype=float)
    values = {"mean_rank": precise.mean(), "median_rank": np.median(precise), "mrr": (1 / precise).mean()}
    values |= {f"recall@{k}": (precise <= k).mean() for k in (1, 5, 10)}
    # The official program has the same values in single precision, and no median.
    for name, key in (("mean_rank", "mean"), ("mrr", "mrr"), ("recall@1", "r@1"), ("recall@5", "r@5"), ("recall@10", "r@10")):
        assert abs(values[name] - official[key]) < 1e-5
    ties = []
    for _ in range(12):
        scores = [RANDOM.randrange(4) for _ in range(12)]
        relevances = [RANDOM.choice([0, 0, 0.5, 1]) for _ in scores]
        relevances[0] = 1
        ndcg = metrics.ndcg_score([relevances], [scores], k=sum(value != 0 for value in relevances))
        ties.append({"scores": scores, "relevances": relevances, "ndcg": float(ndcg)})
    values = {name: float(value) for name, value in values.items()}
    write("ranks", {"ranks": found, "metrics": values, "challenge_ndcg": dense.retrieve()["ndcg"], "dialogue": rows, "ties": ties})


# Tags and numbers.


def tag_measures(truths, scores, weights):
    labels = range(truths.shape[1])
    drawn = np.repeat(np.arange(len(truths)), weights)
    truths, scores = truths[drawn], scores[drawn]
    positive = [label for label in labels if truths[:, label].any()]
    both = [label for label in positive if not truths[:, label].all()]
    return {
        "map": metrics.average_precision_score(truths[:, positive], scores[:, positive], average="macro"),
        "micro_ap": metrics.average_precision_score(truths, scores, average="micro"),
        "auroc": metrics.roc_auc_score(truths[:, both], scores[:, both], average="macro"),
    }


def tags():
    cases = []
    for ties in (False, True):
        random_numbers = np.random.default_rng(7)
        truths = random_numbers.random((30, 6)) < [0.5, 0.2, 0.1, 0.7, 0.0, 1.0]
        scores = np.round(0.3 * truths + 0.7 * random_numbers.random((30, 6)), 1 if ties else 6)
        scores[:, 4] = np.minimum(scores[:, 4], 0.4)
        drawn = np.bincount(random_numbers.integers(0, 30, 30), minlength=30)
        f1 = lambda average: metrics.f1_score(truths, scores >= 0.5, average=average, zero_division=np.nan)
        cases.append(
            {
                "scores": scores.tolist(),
                "truths": truths.astype(int).tolist(),
                "drawn": drawn.tolist(),
                "all": tag_measures(truths, scores, np.ones(30, dtype=int)),
                "resampled": tag_measures(truths, scores, drawn),
                "accuracy": metrics.accuracy_score(truths, scores >= 0.5),
                "micro_f1": f1("micro"),
                "macro_f1": f1("macro"),
            }
        )
    write("tags", cases)


def numbers():
    cases = []
    for offset, scale, digits in ((0, 1, 6), (1e6, 0.5, 3), (-3, 20, 0)):
        random_numbers = np.random.default_rng(8)
        targets = np.round(offset + scale * random_numbers.standard_normal(25), digits)
        predictions = np.round(targets + scale * 0.5 * random_numbers.standard_normal(25), digits)
        cases.append(
            {
                "targets": targets.tolist(),
                "predictions": predictions.tolist(),
                "mae": metrics.mean_absolute_error(targets, predictions),
                "rmse": metrics.root_mean_squared_error(targets, predictions),
                "r2": metrics.r2_score(targets, predictions),
                "pearson": float(stats.pearsonr(targets, predictions)[0]),
                "spearman": float(stats.spearmanr(targets, predictions)[0]),
            }
        )
    write("numbers", cases)


if __name__ == "__main__":
    captions()
    tokens()
    caption_words()
    transcripts()
    answers(sys.argv[1])
    ranks(sys.argv[2])
    tags()
    numbers()
