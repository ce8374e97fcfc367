"""The engine against what a user would otherwise run: PEFT and loops, sentence-transformers and scikit-learn, Arrow.

    python -m benchmarks.speed [--only meta-first-order ...] [--quick] [--out benchmarks/results/speed.json]

Texts are made up from the sample's words; weights are random where only time counts. Both sides see the same rows and
seeds; gradients and predictions are compared before anything is timed. Runs are interleaved (ours, theirs, ours ...);
the table shows the median of each, the spread, and the median of the ratios of neighbours. What is in the output file
of the same commit and device is not measured again. ``--quick`` takes small sizes, to see that everything runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import resource as system
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from benchmarks import reference
from engine.backbones.devices import multiply_rate, resolve_device
from engine.backbones.load import Backbone, load_backbone
from engine.prompting.scorer import PromptScorer
from engine.prompting.verbalizer import make_verbalizer
from engine.settings import BackboneSettings, ImportSettings, MetaTrainSettings, PromptSettings
from engine.stage import StopToken, result_of
from engine.storage import read_json, write_json
from engine.training.examples import Examples
from engine.training.meta_gradient import meta_gradient
from resources import BUNDLED_BACKBONE, resource

SHAPES = {
    "cpu": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},  # T5-small
    "cuda": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12},  # T5-base
}
TARGETS = {
    "meta-first-order": {"cpu": 1.2, "cuda": 15},
    "meta-exact": {"cpu": 1.5, "cuda": 10},
    "five-seeds": {"cpu": 1.5, "cuda": 4},
    "classify": {"cpu": 2, "cuda": 10},
    "embed-and-group": {"cpu": 1, "cuda": 1},
    "import": {"cpu": 0.3, "cuda": 0.3},
}


@dataclass(frozen=True)
class Case:
    """Two ways of doing the same, and how far their results are apart."""

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    difference: float
    facts: dict[str, Any]


def texts(count: int, words: int, seed: int = 0) -> list[str]:
    """Return made-up reviews of ``words`` words on average, from half to one and a half times as long."""
    with open(resource("sample", "reviews.csv"), encoding="utf-8") as stream:
        pool = " ".join(row["review"] for row in csv.DictReader(stream)).split()
    rng = np.random.default_rng(seed)
    lengths = rng.integers(words // 2, words + words // 2 + 1, count)
    return [" ".join(rng.choice(pool, length)) for length in lengths]


def random_t5(folder: Path, device: str) -> Path:
    """Save a T5 of the shape that is timed on ``device``, random weights, with the bundled tokenizer."""
    torch.manual_seed(0)
    shape: dict[str, Any] = SHAPES["cuda" if device.startswith("cuda") else "cpu"]
    config = T5Config(**{**shape, "vocab_size": 32128, "decoder_start_token_id": 0, "dropout_rate": 0.0})
    T5ForConditionalGeneration(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resource("backbones", BUNDLED_BACKBONE)).save_pretrained(folder)
    return folder


def scorer_on(backbone: Backbone, soft_tokens: int, text_tokens: int) -> PromptScorer:
    """Return a scorer of two classes with the paper's loss."""
    settings = PromptSettings(soft_tokens=soft_tokens, text_tokens=text_tokens)
    return PromptScorer(backbone, make_verbalizer(("0", "1"), {}, backbone.tokenizer), settings)


def plain_rows(scorer: PromptScorer, examples: Examples, rows: np.ndarray) -> list[tuple[list[int], int]]:
    """Return token ids and answer of each row, as the reference takes them."""
    encoded, words = examples.texts, scorer.verbalizer.tokens
    return [
        (
            encoded.tokens[encoded.offsets[row] : encoded.offsets[row + 1]].tolist(),
            int(words[examples.labels[row]][0]),
        )
        for row in rows
    ]


def prefix_of(scorer: PromptScorer) -> list[int]:
    """Return the decoder's first tokens."""
    tokenizer = scorer.backbone.tokenizer
    return [scorer.backbone.model.config.decoder_start_token_id, tokenizer.convert_tokens_to_ids("<extra_id_0>")]


def theirs_of(folder: Path, device: torch.device, prompt: torch.Tensor, *, attention: str = "sdpa") -> Any:
    """Return transformers' model in float32 with PEFT's prompt, frozen but for it."""
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    model.requires_grad_(False)
    tuned = reference.with_prompt(model.to(device), prompt)
    tuned.prompt_encoder["default"].embedding.weight.requires_grad_(True)
    return tuned


def meta_case(gradient: str, device: torch.device, folder: Path, quick: bool) -> Case:
    """A meta step: K = 10 tasks, m = 4, n = 100 soft tokens (4 tasks and 20 tokens if ``quick``)."""
    tasks, soft = (4, 20) if quick else (10, 100)
    random_t5(folder, device.type)
    scorers = {
        precision: scorer_on(
            result_of(load_backbone(BackboneSettings(backbone=str(folder), device=str(device), precision=precision))),
            soft,
            128,
        )
        for precision in ("float32", "auto")
    }
    scorer = scorers["auto"]
    backbone = scorer.backbone
    examples = Examples(scorer.template.encode(texts(tasks * 8, 60)), np.arange(tasks * 8) % 2)
    support, query = np.arange(tasks * 8).reshape(2, tasks, 4)
    prompt = torch.randn(soft, backbone.width, generator=torch.Generator().manual_seed(1)).to(device)
    exact = gradient == "exact"
    settings = MetaTrainSettings(gradient="exact" if exact else "first_order", alpha=1.0)
    model = theirs_of(folder, device, prompt, attention="eager" if exact else "sdpa")
    pairs = [
        (plain_rows(scorer, examples, support[task]), plain_rows(scorer, examples, query[task]))
        for task in range(tasks)
    ]
    rates = torch.zeros(soft, 1, device=device)

    def ours(by: PromptScorer = scorer) -> torch.Tensor:
        return meta_gradient(by, examples, prompt, rates, support, query, settings).prompt

    def theirs() -> torch.Tensor:
        return reference.meta_gradient(model, pairs, 1.0, prefix_of(scorer), 0, exact=exact)

    one, two = ours(scorers["float32"]), theirs()
    cosine = torch.nn.functional.cosine_similarity(ours().flatten(), two.flatten(), dim=0)
    facts = {"precision": str(backbone.precision), "cosine in that precision": round(float(cosine), 6)}
    return Case(ours, theirs, float((one - two).norm() / two.norm()), facts)


def five_seeds_case(device: torch.device, folder: Path, quick: bool) -> Case:
    """Tune five prompts of 20 tokens on the bundled backbone: 40 rows, batch 4, without validation."""
    from engine.training.bank_tuning import PromptRun, TuningPlan, tune_bank

    steps, seeds = (6, 2) if quick else (60, 5)
    backbone = result_of(load_backbone(BackboneSettings(device=str(device))))
    scorer = scorer_on(backbone, 20, 128)
    examples = Examples(scorer.template.encode(texts(40, 40)), np.arange(40) % 2)
    prompts = [torch.randn(20, backbone.width, generator=torch.Generator().manual_seed(seed)) for seed in range(seeds)]
    plan = TuningPlan(
        learning_rate=0.03,
        weight_decay=0.0,
        warmup_steps=0,
        batch_size=4,
        steps=steps,
        validate_every=10_000,
        patience=5,
        checkpoint_every=10_000,
    )
    bundled = resource("backbones", BUNDLED_BACKBONE)
    number = iter(range(1_000_000))

    def ours() -> None:
        runs = [
            PromptRun(f"seed {seed}", prompt.to(device), np.arange(40), np.arange(0), seed)
            for seed, prompt in enumerate(prompts)
        ]
        result_of(tune_bank(scorer, examples, runs, plan, folder / str(next(number)), "tune", stop=StopToken()))

    models = [theirs_of(bundled, device, prompt) for prompt in prompts]
    rng = np.random.default_rng(0)
    batches = [plain_rows(scorer, examples, rng.choice(40, 4, replace=False)) for _ in range(steps)]

    def theirs() -> None:
        for model in models:
            reference.tune(model, batches, 0.03, prefix_of(scorer), 0)

    ours()
    theirs()
    return Case(ours, theirs, float("nan"), {"seeds": seeds, "steps": steps, "precision": str(backbone.precision)})


def classify_case(device: torch.device, quick: bool) -> Case:
    """Classify 10,000 reviews under one prompt, equal batch size."""
    from engine.prompting.scorer import BATCH

    count = 200 if quick else 10_000
    backbone = result_of(load_backbone(BackboneSettings(device=str(device))))
    scorer = scorer_on(backbone, 20, 128)
    encoded = scorer.template.encode(texts(count, 60))
    prompt = torch.randn(20, backbone.width, generator=torch.Generator().manual_seed(1)).to(device)
    model = theirs_of(resource("backbones", BUNDLED_BACKBONE), device, prompt)
    plain = [encoded.tokens[encoded.offsets[row] : encoded.offsets[row + 1]].tolist() for row in range(count)]

    def ours() -> np.ndarray:
        found = result_of(scorer.probabilities(prompt[None], encoded))
        assert found is not None
        return found[0].argmax(1)

    def theirs() -> list[str]:
        return reference.classify(model, plain, backbone.tokenizer, prefix_of(scorer), BATCH)

    words = np.array([backbone.tokenizer.decode([ids[0]]) for ids in scorer.verbalizer.tokens])
    ours_words, their_words = words[ours()], np.array(theirs())
    answered = np.isin(their_words, words)
    apart = float((ours_words[answered] != their_words[answered]).mean()) if answered.any() else float("nan")
    facts = {"texts": count, "texts for which generate gives a label word": int(answered.sum())}
    return Case(ours, theirs, apart, facts | {"precision": str(backbone.precision)})


def embed_case(device: torch.device, folder: Path, quick: bool) -> Case:
    """Embed and group 10,000 rows in 10 groups."""
    from sklearn.cluster import KMeans

    from engine.clustering.grouping import kmeans
    from engine.embedding.cache import embed
    from engine.embedding.sentence_bert import SentenceEncoder

    rows = texts(200 if quick else 10_000, 40)
    encoder = SentenceEncoder(device=str(device))
    plain = encoder._model
    number = iter(range(1_000_000))

    def ours() -> np.ndarray:
        vectors = result_of(embed(rows, encoder, folder / str(next(number)), stop=StopToken()))
        assert vectors is not None
        return np.asarray(result_of(kmeans(vectors, 10, seed=0, stop=StopToken())))

    def theirs() -> np.ndarray:
        vectors = plain.encode(rows, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
        return np.asarray(KMeans(10, n_init=10, random_state=0).fit_predict(vectors))

    from sklearn.metrics import adjusted_rand_score

    return Case(ours, theirs, 1 - float(adjusted_rand_score(ours(), theirs())), {"rows": len(rows)})


def import_case(folder: Path, quick: bool) -> Case:
    """Import a CSV of 1 GB, cleaned and deduplicated, against Arrow's bare conversion to Parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    from engine.corpus.importing import import_corpus

    source = folder / "reviews.csv"
    wanted = 5_000_000 if quick else 1_000_000_000
    some, number = texts(20_000, 60), 0
    with open(source, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "stars"])
        while stream.tell() < wanted:
            writer.writerows((f"{number + row} {text}", row % 5 + 1) for row, text in enumerate(some))
            number += len(some)
    megabytes = source.stat().st_size / 1e6
    count = iter(range(1_000_000))

    def ours() -> None:
        settings = ImportSettings(text_column="text", label_column="stars")
        for _ in import_corpus([source], folder / str(next(count)), settings, stop=StopToken()):
            pass

    def theirs() -> None:
        with (
            pyarrow.csv.open_csv(source) as reader,
            pyarrow.parquet.ParquetWriter(folder / "bare.parquet", reader.schema, compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)

    return Case(ours, theirs, float("nan"), {"megabytes": round(megabytes)})


def measured(case: Case, repeats: int) -> dict[str, Any]:
    """Time both sides, interleaved, and return medians, spreads and the ratio (theirs / ours)."""
    ours, theirs = [], []
    for _ in range(repeats):
        for run, times in ((case.ours, ours), (case.theirs, theirs)):
            began = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    return {
        "ours_seconds": round(statistics.median(ours), 4),
        "theirs_seconds": round(statistics.median(theirs), 4),
        "ours_spread": round(max(ours) - min(ours), 4),
        "theirs_spread": round(max(theirs) - min(theirs), 4),
        "ratio": round(statistics.median(ratios), 3),
        "repeats": repeats,
        "difference": None if np.isnan(case.difference) else round(case.difference, 7),
        "peak_memory_mb": round(system.getrusage(system.RUSAGE_SELF).ru_maxrss / 1024),
        **case.facts,
    }


def cases(device: torch.device, folder: Path, quick: bool) -> Iterator[tuple[str, Callable[[], Case], int]]:
    """Yield name, maker and repeats of every case."""
    yield "meta-first-order", lambda: meta_case("first_order", device, folder / "t5", quick), 7
    yield "meta-exact", lambda: meta_case("exact", device, folder / "t5", quick), 5
    yield "five-seeds", lambda: five_seeds_case(device, folder / "seeds", quick), 3
    yield "classify", lambda: classify_case(device, quick), 3
    yield "embed-and-group", lambda: embed_case(device, folder / "cache", quick), 3
    yield "import", lambda: import_case(folder, quick), 3


def main() -> None:
    """Measure what is asked for, print a table, write JSON after every case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    document = read_json(arguments.out) if arguments.out.exists() else {}
    key = f"{device.type} {name}"
    known = document.get(key, {})
    for case_name, make, repeats in cases(device, Path(tempfile.mkdtemp()), arguments.quick):
        old = known.get(case_name, {})
        if case_name not in arguments.only or (old.get("commit") == commit and old.get("quick") == arguments.quick):
            continue
        found = measured(make(), 1 if arguments.quick else repeats)
        found |= {"commit": commit, "quick": arguments.quick, "date": datetime.now(UTC).date().isoformat()}
        found |= {"target": TARGETS[case_name][device.type], "threads": torch.get_num_threads()}
        found["matrix_rate_gflops"] = {
            kind: round(multiply_rate(device, dtype) / 1e9)
            for kind, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        }
        found["versions"] = {package: version(package) for package in ("torch", "transformers", "peft")}
        known[case_name] = found
        document[key] = known
        write_json(arguments.out, document)
        verdict = "reached" if found["ratio"] >= found["target"] else "missed"
        print(
            f"{case_name}: {found['ratio']:.2f} times the reference (target {found['target']}: {verdict})", flush=True
        )
        print(json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
