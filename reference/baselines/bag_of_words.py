"""What a bag of words makes of a text classification set: TF-IDF and logistic regression by scikit-learn.

Usage: python bag_of_words.py ROWS.jsonl [--text COLUMN] [--label COLUMN] [--hold-out COLUMN=VALUE]
Trains on the rows whose `split` is train (C chosen on validation by macro F1) and prints accuracy and macro F1 of the test rows.
Needs scikit-learn.
"""

import argparse
import json

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score


def part(rows, name, arguments):
    """The texts and labels of a split; a held-out value is the test split alone."""
    if arguments.hold_out:
        column, value = arguments.hold_out.split("=", 1)
        held = [row for row in rows if str(row.get(column)) == value]
        rest = [row for row in rows if str(row.get(column)) != value and row["split"] == name]
        rows = held if name == "test" else rest
    else:
        rows = [row for row in rows if row["split"] == name]
    return [row[arguments.text] for row in rows], [row[arguments.label] for row in rows]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--hold-out")
    arguments = parser.parse_args()
    with open(arguments.rows, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    train, validation, test = (part(rows, name, arguments) for name in ("train", "validation", "test"))
    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[^\w\s]")
    features = words.fit_transform(train[0])
    best = None
    for strength in (0.3, 1, 3, 10, 30):
        model = LogisticRegression(C=strength, max_iter=300).fit(features, train[1])
        score = f1_score(validation[1], model.predict(words.transform(validation[0])), average="macro")
        if best is None or score > best[0]:
            best = (score, strength, model)
    _, strength, model = best
    found = model.predict(words.transform(test[0]))
    print(
        json.dumps(
            {
                "rows": len(test[1]),
                "C": strength,
                "accuracy": accuracy_score(test[1], found),
                "macro_f1": f1_score(test[1], found, average="macro"),
            }
        )
    )


if __name__ == "__main__":
    main()
