"""Are the texts that *Suggest next 10* chooses worth more than random ones?

    python -m benchmarks.suggestions --data DIR [--out benchmarks/results/suggestions.json]

Labels 900 training rows of each target ten at a time, trains a linear probe on Sentence-BERT at 20, 40 and 80 labels,
and tells its accuracy on up to 500 other training rows: mean and standard error over ten draws.
Test rows are never read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from benchmarks.provenance import RESULTS, provenance
from engine.annotation.suggestions import suggest_rows
from engine.embedding.sentence_bert import SentenceEncoder
from engine.storage import write_json

TARGETS = ("sst2", "sst5", "semeval16_rest", "sentihood")
POOL, HELD, CANDIDATES, COUNT, DRAWS, SIZES = 900, 500, 200, 10, 10, (20, 40, 80)


def accuracies(vectors: np.ndarray, labels: np.ndarray, seed: int, *, suggested: bool) -> dict[int, float]:
    """Return number of labels -> accuracy on the held-out rows."""
    random = np.random.default_rng(seed)
    labelled, found = np.empty(0, np.int64), {}
    while len(labelled) < max(SIZES):
        candidates = random.permutation(np.setdiff1d(np.arange(POOL), labelled))[:CANDIDATES]
        chosen = np.arange(COUNT)
        if suggested:
            chosen = suggest_rows(vectors[candidates], vectors[labelled], labels[labelled], COUNT, seed=seed)
        labelled = np.concatenate([labelled, candidates[chosen]])
        if len(labelled) in SIZES:
            probe = LogisticRegression(C=3, max_iter=1000).fit(vectors[labelled], labels[labelled])
            found[len(labelled)] = float((probe.predict(vectors[POOL:]) == labels[POOL:]).mean())
    return found


def main() -> None:
    """Print a table and write the same figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder that holds downstream/.")
    parser.add_argument("--out", type=Path, default=RESULTS / "suggestions.json")
    arguments = parser.parse_args()
    folder, encoder = arguments.data / "downstream", SentenceEncoder()
    figures: dict[str, dict[str, dict[int, list[float]]]] = {}
    print("| target | texts | " + " | ".join(f"{size} labels" for size in SIZES) + " |")
    print("|---|---|" + "---|" * len(SIZES))
    for name in TARGETS:
        table = pq.read_table(folder / f"{name}_train.parquet")
        rows = np.random.default_rng(0).permutation(len(table))[: POOL + HELD]
        vectors = encoder.encode(table["text"].take(rows).to_pylist())
        labels = np.unique(np.array(table["label"].to_pylist())[rows], return_inverse=True)[1]
        for suggested in (True, False):
            draws = [accuracies(vectors, labels, seed, suggested=suggested) for seed in range(DRAWS)]
            way, cells = "suggested" if suggested else "at random", []
            figures.setdefault(name, {})[way] = {size: [draw[size] for draw in draws if size in draw] for size in SIZES}
            for size in SIZES:
                values = 100 * np.array(figures[name][way][size])
                cells.append(f"{values.mean():.1f} ± {values.std(ddof=1) / len(values) ** 0.5:.1f}")
            print(f"| {name} | {way} | " + " | ".join(cells) + " |", flush=True)
    origin = provenance("sentence-transformers", "scikit-learn")
    write_json(arguments.out, {**origin, "pool": POOL, "held_out": HELD, "figures": figures})


if __name__ == "__main__":
    main()
