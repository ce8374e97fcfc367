"""SetFit (Tunstall et al., 2022): Sentence-BERT, fine-tuned on pairs of the labelled examples, and a linear head.

Written on sentence-transformers' own model and loss; the package ``setfit`` does not go with transformers 5.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from sentence_transformers.util import batch_to_device
from sklearn.linear_model import LogisticRegression

from engine.backbones.devices import multiplies_bfloat16, resolve_device
from engine.embedding.sentence_bert import BUNDLED_PACKAGE
from engine.evaluation.metrics import evaluate
from engine.evaluation.results import Evaluation

ROUNDS = 10
"""Pairs of each kind that every example is in (SetFit's ``num_iterations``; its default is 20)."""
PAIRS = 16
RATE = 2e-5
WARM_UP = 0.1


def pairs(labels: np.ndarray, rounds: int, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """Return (row, other row, 1 for the same class or 0), one of each kind a row and round, shuffled."""
    found = []
    for _ in range(rounds):
        for row, label in enumerate(labels):
            same = np.flatnonzero((labels == label) & (np.arange(len(labels)) != row))
            others = np.flatnonzero(labels != label)
            found += [(row, int(rng.choice(part)), like) for part, like in ((same, 1.0), (others, 0.0)) if len(part)]
    return [found[number] for number in rng.permutation(len(found))]


def contrastive_probe(
    texts: Sequence[str],
    labels: np.ndarray,
    test: Sequence[str],
    test_labels: np.ndarray,
    classes: Sequence[str],
    *,
    seed: int,
    rounds: int = ROUNDS,
) -> Evaluation:
    """Fine-tune Sentence-BERT on ``texts``, fit the head on the same, and test it.

    Parameters
    ----------
    texts, labels
        The labelled examples, training and validation together, as the linear probe has them.
    """
    torch.manual_seed(seed)
    device = resolve_device("auto")
    folder = Path(str(importlib.resources.files(BUNDLED_PACKAGE) / "model"))
    model = SentenceTransformer(str(folder), device=str(device), local_files_only=True)
    chosen = pairs(labels, rounds, np.random.default_rng(seed))
    loss = CosineSimilarityLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    steps = -(-len(chosen) // PAIRS)
    model.train()
    for step in range(steps):
        batch = chosen[step * PAIRS : (step + 1) * PAIRS]
        sides = [model.preprocess([texts[pair[side]] for pair in batch]) for side in (0, 1)]
        wanted = torch.tensor([like for _, _, like in batch], device=device)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / max(1, WARM_UP * steps), (steps - step) / ((1 - WARM_UP) * steps))
        with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
            value = loss([batch_to_device(side, device) for side in sides], wanted)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device)):
        vectors, tested = (
            model.encode(list(part), batch_size=64, show_progress_bar=False).astype(np.float32)
            for part in (texts, test)
        )
    present = np.unique(labels)
    chances = np.zeros((len(test), len(classes)), np.float32)
    if len(present) == 1:
        chances[:, present[0]] = 1
    else:
        head = LogisticRegression(max_iter=1000).fit(vectors, labels)
        chances[:, present] = head.predict_proba(tested)
    return evaluate(chances, test_labels, classes)
