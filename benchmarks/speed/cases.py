"""What is timed: each case is two ways of doing the same, ours and a user's with public libraries."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from benchmarks.speed import reference
from engine.backbones.devices import multiplies_bfloat16
from engine.backbones.load import Backbone, load_backbone
from engine.prompting.scorer import PromptScorer
from engine.prompting.verbalizer import make_verbalizer
from engine.settings import BackboneSettings, ImportSettings, MetaTrainSettings, PromptSettings
from engine.stage import StopToken, result_of
from engine.training.examples import Examples
from engine.training.meta_gradient import meta_gradient
from resources import BUNDLED_BACKBONE, resource

SHAPES = {
    "cpu": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},  # T5-small
    "cuda": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12},  # T5-base
}

MEMORY = "memory"
"""Folder, in that of a case, of the processes that measure how much memory each side takes."""


@dataclass(frozen=True)
class Setting:
    """Where a case runs.

    Attributes
    ----------
    folder
        Of the case's own, for what it writes.
    quick
        Small sizes, to see that everything runs.
    precision
        Of ours; ``auto`` is what the application takes by itself.
    """

    device: torch.device
    folder: Path
    quick: bool = False
    precision: Literal["auto", "float32"] = "auto"

    def load(self, backbone: str = "bundled", precision: Literal["auto", "float32"] | None = None) -> Backbone:
        """Return ``backbone`` on the device, in the setting's precision unless another is asked for."""
        settings = BackboneSettings(backbone=backbone, device=str(self.device), precision=precision or self.precision)
        return result_of(load_backbone(settings))


@dataclass(frozen=True)
class Case:
    """Two ways of doing the same.

    Attributes
    ----------
    ours, theirs
        What is timed; both are run once before, untimed. ``theirs`` computes in float32 and takes texts as they come.
    facts
        What a reader has to know of the sizes.
    compare
        Takes what both returned and says how far that is apart, and what else was seen; ``None`` where there is nothing
        to compare.
    careful
        ``theirs`` by a user who knows more: in our precision, texts of like length together; ``None`` where that is the
        same. Timed besides.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    facts: dict[str, Any]
    compare: Callable[[Any, Any], dict[str, float]] | None = None
    careful: Callable[[], Any] | None = None


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


def theirs_of(
    folder: Path,
    device: torch.device,
    prompt: torch.Tensor,
    *,
    attention: str = "sdpa",
    precision: torch.dtype = torch.float32,
) -> Any:
    """Return transformers' model with PEFT's prompt, frozen but for it."""
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=precision, attn_implementation=attention)
    model.requires_grad_(False)
    tuned = reference.with_prompt(model.to(device), prompt)
    tuned.prompt_encoder["default"].embedding.weight.requires_grad_(True)
    return tuned


def meta_case(gradient: str, setting: Setting) -> Case:
    """A meta step: K = 10 tasks, m = 4, n = 100 soft tokens (4 tasks and 20 tokens if ``quick``)."""
    tasks, soft = (4, 20) if setting.quick else (10, 100)
    device = setting.device
    folder = random_t5(setting.folder / "t5", device.type)
    scorer = scorer_on(setting.load(str(folder)), soft, 128)
    backbone = scorer.backbone
    whole = backbone.precision == torch.float32
    scorer32 = scorer if whole else scorer_on(setting.load(str(folder), "float32"), soft, 128)
    examples = Examples(scorer.template.encode(texts(tasks * 8, 60)), np.arange(tasks * 8) % 2)
    support, query = np.arange(tasks * 8).reshape(2, tasks, 4)
    prompt = torch.randn(soft, backbone.width, generator=torch.Generator().manual_seed(1)).to(device)
    exact = gradient == "exact"
    settings = MetaTrainSettings(gradient="exact" if exact else "first_order", alpha=1.0)
    attention = "eager" if exact else "sdpa"
    model = theirs_of(folder, device, prompt, attention=attention)
    model16 = None if whole else theirs_of(folder, device, prompt, attention=attention, precision=backbone.precision)
    pairs = [
        (plain_rows(scorer, examples, support[task]), plain_rows(scorer, examples, query[task]))
        for task in range(tasks)
    ]
    rates = torch.zeros(soft, 1, device=device)

    def ours(by: PromptScorer = scorer) -> torch.Tensor:
        return meta_gradient(by, examples, prompt, rates, support, query, settings).prompt

    def theirs(by: Any = model) -> torch.Tensor:
        return reference.meta_gradient(by, pairs, 1.0, prefix_of(scorer), 0, exact=exact)

    def compare(mine: torch.Tensor, two: torch.Tensor) -> dict[str, float]:
        one = mine if whole else ours(scorer32)
        cosine = torch.nn.functional.cosine_similarity(mine.flatten(), two.flatten(), dim=0)
        return {"difference": float((one - two).norm() / two.norm()), "cosine in its own precision": float(cosine)}

    facts = {"precision": str(backbone.precision), "tasks": tasks, "soft tokens": soft}
    return Case(ours, theirs, facts, compare, None if model16 is None else partial(theirs, model16))


def five_seeds_case(setting: Setting) -> Case:
    """Tune five prompts of 20 tokens on the bundled backbone: 40 rows, batch 4, without validation."""
    from engine.training.bank_tuning import PromptRun, TuningPlan, tune_bank

    steps, seeds = (6, 2) if setting.quick else (60, 5)
    device = setting.device
    backbone = setting.load()
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
        folder = setting.folder / str(next(number))
        result_of(tune_bank(scorer, examples, runs, plan, folder, "tune", stop=StopToken()))

    models = {
        precision: [theirs_of(bundled, device, prompt, precision=precision) for prompt in prompts]
        for precision in {torch.float32, backbone.precision}
    }
    rng = np.random.default_rng(0)
    batches = [plain_rows(scorer, examples, rng.choice(40, 4, replace=False)) for _ in range(steps)]

    def theirs(precision: torch.dtype = torch.float32) -> None:
        for model in models[precision]:
            reference.tune(model, batches, 0.03, prefix_of(scorer), 0)

    facts = {"seeds": seeds, "steps": steps, "precision": str(backbone.precision)}
    careful = partial(theirs, backbone.precision) if len(models) > 1 else None
    return Case(ours, theirs, facts, careful=careful)


def classify_case(setting: Setting) -> Case:
    """Classify 10,000 reviews under one prompt, equal batch size."""
    count = 200 if setting.quick else 10_000
    device = setting.device
    backbone = setting.load()
    scorer = scorer_on(backbone, 20, 128)
    batch = scorer.at_a_time
    encoded = scorer.template.encode(texts(count, 60))
    prompt = torch.randn(20, backbone.width, generator=torch.Generator().manual_seed(1)).to(device)
    models = {
        precision: theirs_of(resource("backbones", BUNDLED_BACKBONE), device, prompt, precision=precision)
        for precision in {torch.float32, backbone.precision}
    }
    plain = [encoded.tokens[encoded.offsets[row] : encoded.offsets[row + 1]].tolist() for row in range(count)]

    def ours() -> np.ndarray:
        found = result_of(scorer.probabilities(prompt[None], encoded))
        assert found is not None
        return found[0].argmax(1)

    def theirs(precision: torch.dtype = torch.float32, *, by_length: bool = False) -> list[str]:
        prefix = prefix_of(scorer)
        return reference.classify(models[precision], plain, backbone.tokenizer, prefix, batch, by_length=by_length)

    def compare(mine: np.ndarray, other: list[str]) -> dict[str, float]:
        words = np.array([backbone.tokenizer.decode([ids[0]]) for ids in scorer.verbalizer.tokens])
        ours_words, their_words = words[mine], np.array(other)
        answered = np.isin(their_words, words)
        share = float(answered.mean())
        apart = float((ours_words[answered] != their_words[answered]).mean()) if share else 0.0
        return {"difference": apart, "share that generate answers with a label word": share}

    facts = {"texts": count, "batch": batch, "precision": str(backbone.precision)}
    return Case(ours, theirs, facts, compare, partial(theirs, backbone.precision, by_length=True))


def embed_case(setting: Setting) -> Case:
    """Embed and group 10,000 rows in 10 groups."""
    from sklearn.cluster import KMeans

    from engine.clustering.grouping import kmeans
    from engine.embedding.cache import embed
    from engine.embedding.sentence_bert import SentenceEncoder

    rows = texts(200 if setting.quick else 10_000, 40)
    encoder = SentenceEncoder(device=str(setting.device), precision=setting.precision)
    plain = SentenceEncoder(device=str(setting.device), precision="float32")._model
    number = iter(range(1_000_000))

    def ours() -> np.ndarray:
        vectors = result_of(embed(rows, encoder, setting.folder / str(next(number)), stop=StopToken()))
        assert vectors is not None
        return np.asarray(result_of(kmeans(vectors, 10, seed=0, stop=StopToken())))

    def theirs() -> np.ndarray:
        vectors = plain.encode(rows, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
        return np.asarray(KMeans(10, n_init=10, random_state=0).fit_predict(vectors))

    def careful() -> np.ndarray:
        with torch.autocast(setting.device.type, torch.bfloat16):
            return theirs()

    def compare(mine: np.ndarray, other: np.ndarray) -> dict[str, float]:
        from sklearn.metrics import adjusted_rand_score

        return {"difference": 1 - float(adjusted_rand_score(mine, other))}

    fast = setting.precision == "auto" and multiplies_bfloat16(setting.device)
    return Case(ours, theirs, {"rows": len(rows)}, compare, careful if fast else None)


def import_case(setting: Setting) -> Case:
    """Import a CSV of 1 GB, cleaned and deduplicated, against Arrow's bare conversion to Parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    from engine.corpus.importing import import_corpus

    folder = setting.folder
    # The processes that measure memory find the file that was made for the times.
    source = (folder.parents[1] if folder.parent.name == MEMORY else folder) / "reviews.csv"
    wanted = 5_000_000 if setting.quick else 1_000_000_000
    some, number = texts(20_000, 60), 0
    if not source.exists():
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

    return Case(ours, theirs, {"megabytes": round(megabytes)})


@dataclass(frozen=True)
class Plan:
    """How a case is made and how often it is run; the ratio to reach, by kind of device."""

    make: Callable[[Setting], Case]
    repeats: int
    targets: dict[str, float]


CASES = {
    "meta-first-order": Plan(partial(meta_case, "first_order"), 5, {"cpu": 1.2, "cuda": 15}),
    "meta-exact": Plan(partial(meta_case, "exact"), 3, {"cpu": 1.5, "cuda": 10}),
    "five-seeds": Plan(five_seeds_case, 3, {"cpu": 1.5, "cuda": 4}),
    "classify": Plan(classify_case, 2, {"cpu": 2, "cuda": 10}),
    "embed-and-group": Plan(embed_case, 2, {"cpu": 1, "cuda": 1}),
    "import": Plan(import_case, 3, {"cpu": 0.3, "cuda": 0.3}),
}
