"""Answers of public models beside the programs that they come from: transcripts and embeddings."""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import unicodedata
import wave
from pathlib import Path

from comparing import BENCHES, Watched, at_least, binary, interleave, note, python, spread, verdict

SECONDS = 600
# The rate over that of the faster of faster-whisper's two modes, and seconds to the first words.
SPEECH_LIMIT, FIRST_LIMIT = 1.2, 1.0
# Errors in 100 words beyond faster-whisper's.
WER_LIMIT = 0.5
# The rate over that of sentence-transformers, seconds to the first result, and the least cosine.
EMBEDDING_LIMIT, EMBEDDING_FIRST, COSINE_LIMIT = 1.5, 0.5, 0.9999
# How finely weights are held when sentences are embedded.
PRECISIONS = ("float32", "int16")
# By batch: how many sentences are timed.
SENTENCES = {1: 400, 32: 2000}


def home():
    return Path(os.environ.get("SENSORIUM_HOME") or os.getcwd())


def sensorium(*arguments):
    subprocess.run([binary(), *map(str, arguments)], check=True, cwd=home(), stdout=sys.stderr)


def fetched(name):
    """The rows of a set of the catalogue, and its folder."""
    sensorium("data", "fetch", name, "--quiet")
    folder = home() / "data" / name
    return [json.loads(line) for line in open(folder / "rows.jsonl")], folder


def imported(model, work):
    """A run of a checkpoint of the catalogue, and the folder of the checkpoint."""
    run = Path(work) / model
    sensorium("import", model, "--run", run)
    return run, home() / "weights" / model


def words(text):
    text = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"[^\w\s']", " ", text).split()


def errors(reference, found):
    """Words that are wrong, missing or too many (Levenshtein)."""
    row = list(range(len(found) + 1))
    for i, word in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def recording(work):
    """Ten minutes of a novel, read aloud by espeak-ng, and what is read."""
    rows, _ = fetched("austen")
    text = " ".join(row["text"].strip() for row in rows if row["split"] == "test")[:11_000]
    long, path = Path(work) / "long.wav", Path(work) / "speech.wav"
    command = ["espeak-ng", "-v", "en-us", "-s", "165", "-w", str(long)]
    subprocess.run(command, input=text, text=True, check=True)
    with wave.open(str(long)) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(source.readframes(SECONDS * source.getframerate()))
    return path, text


def watched(name, command, shown=None):
    process = Watched(list(map(str, command)), shown)
    memory = process.wait()
    seconds = process.clock()
    note(f"{name}: {seconds:.1f} s, first words after {process.first:.2f} s, {memory:.0f} MB")
    return {"seconds": seconds, "first": process.first, "peak_rss_mb": memory, "text": process.output}


def compare_speech(options):
    """Ten minutes of speech as text, from the start of the process."""
    with tempfile.TemporaryDirectory() as work:
        sound, text = recording(work)
        run, weights = imported(options.model, work)
        beam, threads = ["--beam", options.beam], ["--threads", options.threads]
        peer = [python(), BENCHES / "peers/speech.py", sound, *beam, *threads, "--language", "en"]
        ours = [binary(), "transcribe", run, sound, *beam, *threads, "--language", "en", "--precision"]
        sides = {
            "sensorium": [*ours, "float32"],
            "sensorium int16": [*ours, "int16"],
            "faster-whisper int8": [*peer, "--model", weights, "--type", "int8"],
            "faster-whisper float32": [*peer, "--model", weights, "--type", "float32"],
            "openai-whisper": [*peer, "--run", run],
        }
        # Behind the name of the file the bar shows what is heard.
        shown = lambda name: rf"{sound.name} \w" if name.startswith("sensorium") else None
        run_side = lambda name: lambda: watched(name, sides[name], shown(name))
        slow = {name: run_side(name)() for name in sides if name == "openai-whisper"}
        rounds = interleave(options.rounds, {name: run_side(name) for name in sides if name not in slow})
        rounds |= {name: [found] for name, found in slow.items()}
    # The recording ends within the text: what follows is not asked for.
    heard = max((words(runs[0]["text"]) for runs in rounds.values()), key=len)
    reference = words(text)[: len(heard) + 20]
    best = min(range(len(reference) - 40, len(reference) + 1), key=lambda end: errors(reference[:end], heard))
    return {"rounds": rounds, "reference": reference[:best]}, list(speech_lines(rounds, reference[:best]))


def speech_lines(rounds, reference):
    for name, runs in rounds.items():
        found, first = (spread([run[key] for run in runs]) for key in ("seconds", "first"))
        memory = statistics.median(run["peak_rss_mb"] for run in runs)
        wrong = 100 * errors(reference, words(runs[0]["text"])) / len(reference)
        rate = SECONDS / found["median"]
        yield (
            f"{name}: {found['median']:.1f} s ({found['min']:.1f}–{found['max']:.1f}), {rate:.1f} × real time, first words after "
            f"{first['median']:.2f} s, {memory:.0f} MB, WER {wrong:.1f}",
            "–",
        )
    modes = [rounds["faster-whisper int8"], rounds["faster-whisper float32"]]
    for name in ("sensorium", "sensorium int16"):
        ratios = [min(a["seconds"], b["seconds"]) / ours["seconds"] for ours, a, b in zip(rounds[name], *modes)]
        listed = " ".join(f"{ratio:.2f}" for ratio in ratios)
        ratio = statistics.median(ratios)
        yield f"{name}: rate over the faster mode {ratio:.2f} ({listed}; must {SPEECH_LIMIT})", at_least(ratio, SPEECH_LIMIT)
        ours, theirs = (statistics.median(run["peak_rss_mb"] for run in runs) for runs in (rounds[name], modes[0]))
        yield f"{name}: memory over int8's {ours / theirs:.2f} (must 1)", verdict(ours / theirs, 1.0)
        first = statistics.median(run["first"] for run in rounds[name])
        yield f"{name}: first words after {first:.2f} s (must {FIRST_LIMIT})", verdict(first, FIRST_LIMIT)


def clips():
    """Clips of people that nothing was trained on: their language, what is said, the file."""
    rows, folder = fetched("stamps")
    for language in ("es", "fr"):
        said = [row for row in rows if row["split"] != "train" and row.get(f"speech_{language}") and row.get(f"caption_{language}")]
        yield from ((language, row[f"caption_{language}"], folder / row[f"speech_{language}"]) for row in said)
    rows, folder = fetched("fillets")
    said = [row for row in rows if row["split"] == "test" and row["language"] == "cs"]
    yield from (("cs", row["text"], folder / row["audio"]) for row in said)


def compare_transcripts(options):
    """Errors of Whisper base on clips in three languages."""
    by_language = {}
    for language, text, path in clips():
        by_language.setdefault(language, []).append((text, path))
    results, lines = {}, []
    with tempfile.TemporaryDirectory() as work:
        run, weights = imported("whisper-base", work)
        for language, said in by_language.items():
            files = [path for _, path in said]
            settings = ["--language", language, "--beam", options.beam, "--threads", options.threads]
            peer = [python(), BENCHES / "peers/speech.py", *files, "--model", weights, "--type", "float32", "--json", *settings]
            ours = [binary(), "transcribe", run, *files, "--format", "json", *settings, "--quiet"]
            texts = [[entry["text"] for entry in json.loads(watched(name, command)["text"])]
                     for name, command in (("sensorium", ours), ("faster-whisper", peer))]
            references = [words(text) for text, _ in said]
            count = sum(map(len, references))
            wer = [100 * sum(errors(a, words(b)) for a, b in zip(references, found)) / count for found in texts]
            equal = sum(words(a) == words(b) for a, b in zip(*texts))
            results[language] = {"texts": texts, "wer": wer, "references": [text for text, _ in said]}
            line = f"{language}, beam {options.beam}: WER {wer[0]:.1f}, faster-whisper {wer[1]:.1f}; the same text in {equal} of {len(said)}"
            lines.append((line, verdict(wer[0] - wer[1], WER_LIMIT)))
    return results, lines


def compare_embeddings(options):
    """Embeddings of WordNet's glosses, one by one and in batches."""
    rows, _ = fetched("wordnet-glosses")
    sentences = [row["text"] for row in rows[:: len(rows) // max(SENTENCES.values())]][: max(SENTENCES.values())]
    with tempfile.TemporaryDirectory() as work:
        run, weights = imported("all-minilm-l6-v2", work)
        sides = {}
        for batch, count in SENTENCES.items():
            path = Path(work) / f"{batch}.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in sentences[:count]))
            one = Path(work) / "one.jsonl"
            one.write_text(json.dumps({"text": sentences[0]}) + "\n")
            settings = ["--batch", batch, "--threads", options.threads]
            ours = [binary(), "predict", run, "--json", *settings, "--precision"]
            theirs = [python(), BENCHES / "peers/embeddings.py", path, "--model", weights, *settings]
            for precision in PRECISIONS:
                command = [*ours, precision, "--data"]
                sides[f"{precision} {batch}"] = lambda command=command, rows=[path, one], batch=batch: embed_ours(command, rows, batch)
            sides[f"sentence-transformers {batch}"] = lambda theirs=theirs: json.loads(watched("sentence-transformers", theirs)["text"])
        rounds = interleave(options.rounds, sides)
    return rounds, list(embedding_lines(rounds))


def embed_ours(command, rows, batch):
    """The time with the start, and that of the start alone with one sentence, as sentence-transformers is timed behind one."""
    found, start = [watched(f"sensorium, batch {batch}", [*command, path]) for path in rows]
    vectors = [json.loads(line)["outputs"]["embedding"]["value"] for line in found["text"].splitlines()]
    return {"seconds": found["seconds"] - start["seconds"], "whole": found["seconds"], "first": found["first"], "vectors": vectors}


def embedding_lines(rounds):
    for batch, count in SENTENCES.items():
        theirs = rounds[f"sentence-transformers {batch}"]
        for precision in PRECISIONS:
            ours = rounds[f"{precision} {batch}"]
            ratios = [b["seconds"] / a["seconds"] for a, b in zip(ours, theirs)]
            rates = [statistics.median(count / run["seconds"] for run in runs) for runs in (ours, theirs)]
            whole = statistics.median(count / run["whole"] for run in ours)
            first = [statistics.median(run["first"] for run in runs) for runs in (ours, theirs)]
            ratio = statistics.median(ratios)
            listed = " ".join(f"{value:.2f}" for value in ratios)
            name = f"batch {batch}, {precision}"
            yield (
                f"{name}: {rates[0]:.0f} sentences/s behind the start ({whole:.0f} with it), sentence-transformers {rates[1]:.0f}; ratio "
                f"{ratio:.2f} ({listed}; must {EMBEDDING_LIMIT})",
                at_least(ratio, EMBEDDING_LIMIT),
            )
            yield f"{name}: first result after {first[0]:.2f} s (must {EMBEDDING_FIRST}), {first[1]:.1f} s", verdict(first[0], EMBEDDING_FIRST)
            least = min(cosine(a, b) for a, b in zip(ours[0]["vectors"], theirs[0]["vectors"]))
            yield f"{name}: least cosine of {count} sentences {least:.7f} (must {COSINE_LIMIT})", at_least(least, COSINE_LIMIT)


def cosine(a, b):
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


COMPARISONS = {"speech": compare_speech, "transcripts": compare_transcripts, "embeddings": compare_embeddings}
