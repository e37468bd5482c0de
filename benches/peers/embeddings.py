"""Embeddings by sentence-transformers, for benches/compare.

usage: embeddings.py ROWS --model FOLDER [--batch 32] [--threads 2]

Prints {"seconds", "first", "vectors"}: the time that the sentences take, without imports and loading, and the time from the
start of the process to the first result.
"""
import time

started = time.monotonic()
import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("rows")
parser.add_argument("--model")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

import torch

# A wheel that was built for CUDA refuses its companions on a machine without one.
torch.version.cuda = None
torch.set_num_threads(options.threads)
from sentence_transformers import SentenceTransformer, models

sentences = [json.loads(line)["text"] for line in open(options.rows)]
words = models.Transformer(options.model, max_seq_length=256)
parts = [words, models.Pooling(words.get_word_embedding_dimension(), "mean"), models.Normalize()]
model = SentenceTransformer(modules=parts, device="cpu")
model.encode(sentences[:1], batch_size=1)
first = time.monotonic() - started
begun = time.monotonic()
vectors = model.encode(sentences, batch_size=options.batch)
print(json.dumps({"seconds": time.monotonic() - begun, "first": first, "vectors": vectors.tolist()}))
