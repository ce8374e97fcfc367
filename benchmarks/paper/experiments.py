"""The paper's tables and figures, and what goes beyond them: target -> condition -> method -> seed -> figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.paper.bench import Bench, Runs
from benchmarks.paper.data import TOPICS, Dataset
from engine.presets import PSEUDO_ALPHA, PSEUDO_RATE
from engine.wording import count

Found = dict[str, Runs]
"""Condition -> method -> seed -> figures."""
Settings = dict[str, Any]
"""Values of `MetaTrainSettings`."""
PLAIN_RATE = 0.3
"""Of tuning from a random start or from word vectors: the highest mean over the development rows."""
SMALL_BATCH_RATE = 0.3
"""Of PPT in batches of four: the highest mean over the sets of ``choose-batches``."""
Pairs = Sequence[tuple[float, float]]


def table1(bench: Bench, dataset: Dataset) -> Found:
    """Learned from the labelled source, and without a source; 40 + 40 labelled examples."""
    yelp = bench.yelp()
    starts = {"MetaPT(Y)": bench.meta(yelp, bench.clusters(yelp)), "PT": "random", "PT, vocabulary": "vocabulary"}
    return {"40 + 40": bench.tuned(dataset, starts)}


def ppt(bench: Bench, dataset: Dataset) -> Found:
    """Learned without groups, from the source and from pseudo-labelled open text, each at its best; rows of table 1."""
    pseudo = bench.pretrained(bench.pseudo_labelled(), learning_rate=PSEUDO_RATE)
    starts = {"PPT(Y)": bench.pretrained(bench.yelp()), "PPT": pseudo}
    return {"40 + 40": bench.tuned(dataset, starts)}


def untouched(bench: Bench, dataset: Dataset) -> Found:
    """What the backbone knows before there is a single label, and the starts of ``trained-anew``."""
    yelp = bench.yelp()
    groups = bench.clusters(yelp)
    prompts = {}
    for seed in range(bench.first_seed, bench.first_seed + bench.seeds):
        prompts[f"MetaPT(Y) seed {seed}"] = bench.meta(yelp, groups, seed=seed)
        prompts[f"PPT(Y) seed {seed}"] = bench.pretrained(yelp, seed=seed)
    found: Runs = {}
    for name, figures in bench.untuned(dataset, prompts).items():
        method, _, seed = name.partition(" seed ")
        found.setdefault(method, {})[seed or "0"] = figures
    return {"no labels": found}


def plain(bench: Bench, dataset: Dataset) -> Found:
    """Starts that learned nothing, tuned at the rate that ``choose`` and ``choose-plain`` found for them."""
    starts = {"PT": "random", "PT, vocabulary": "vocabulary"}
    return {"40 + 40": bench.tuned(dataset, starts, learning_rate=PLAIN_RATE)}


def for_each_seed(bench: Bench, dataset: Dataset, starts: Callable[[int], dict[str, str]]) -> Found:
    """Tune each seed from the ``starts`` that were trained with this seed, too."""
    found: Runs = {}
    for seed in range(bench.first_seed, bench.first_seed + bench.seeds):
        for method, runs in bench.tuned(dataset, starts(seed), seeds=1, first_seed=seed).items():
            found.setdefault(method, {}).update(runs)
    return {"40 + 40": found}


def trained_anew(bench: Bench, dataset: Dataset) -> Found:
    """As table 1, but each seed of tuning starts from prompts of its own."""
    yelp = bench.yelp()
    groups = bench.clusters(yelp)

    def starts(seed: int) -> dict[str, str]:
        return {"MetaPT(Y)": bench.meta(yelp, groups, seed=seed), "PPT(Y)": bench.pretrained(yelp, seed=seed)}

    return for_each_seed(bench, dataset, starts)


def small_batches(bench: Bench, dataset: Dataset) -> Found:
    """As ``trained-anew``, of PPT in batches of four, at the rate that ``choose-batches`` found."""
    yelp = bench.yelp()

    def starts(seed: int) -> dict[str, str]:
        return {"PPT(Y), batches of 4": bench.pretrained(yelp, batch=4, learning_rate=SMALL_BATCH_RATE, seed=seed)}

    return for_each_seed(bench, dataset, starts)


def baselines(bench: Bench, dataset: Dataset) -> Found:
    """What is tuned or fitted without a prompt on the same draws; rows of table 1."""
    return {"40 + 40": bench.full_model(dataset) | bench.probes(dataset, bench.yelp())}


def own(bench: Bench, dataset: Dataset) -> Found:
    """No labelled source: the draw itself teaches labels of the other texts, and these a start for each seed."""

    def starts(seed: int) -> dict[str, str]:
        corpus = bench.taught_by_draw(dataset, seed)
        groups = {"": bench.clusters(corpus), ", random groups": bench.clusters(corpus, method="random")}
        prompts = {
            f"MetaPT(own){name}": bench.meta(corpus, clusters, seed=seed, alpha=PSEUDO_ALPHA)
            for name, clusters in groups.items()
        }
        return prompts | {"PPT(own)": bench.pretrained(corpus, seed=seed, learning_rate=PSEUDO_RATE)}

    found = for_each_seed(bench, dataset, starts)["40 + 40"]
    plain = {"PT": "random", "PT, vocabulary": "vocabulary"}
    found |= bench.tuned(dataset, plain, learning_rate=PLAIN_RATE)
    found |= bench.probes(dataset, "") | bench.full_model(dataset)
    alone = bench.untuned(dataset, {})
    return {"40 + 40": found, "no labels": {name: {"0": figures} for name, figures in alone.items()}}


def templates(bench: Bench, dataset: Dataset) -> Found:
    """The paper's template, which judges, and one for topics."""
    found: Found = {}
    for template in ("{text} It was {mask}.", "{text} This is about {mask}."):
        asked = replace(bench, template=template)
        runs = asked.tuned(dataset, {"PT": "random", "PT, vocabulary": "vocabulary"}, learning_rate=PLAIN_RATE)
        alone = {name: {"0": figures} for name, figures in asked.untuned(dataset, {}).items()}
        found[template] = runs | alone
    return found


def pseudo(bench: Bench, dataset: Dataset) -> Found:
    """Meta-learned from pseudo-labelled open text, at the rate that ``choose-pseudo`` found; a row of table 1."""
    corpus = bench.pseudo_labelled()
    start = bench.meta(corpus, bench.clusters(corpus), alpha=PSEUDO_ALPHA)
    return {"40 + 40": bench.tuned(dataset, {"MetaPT": start})}


def setfit(bench: Bench, dataset: Dataset) -> Found:
    """Contrastive fine-tuning of Sentence-BERT on the same draws; a row of table 1, apart because it takes long."""
    return {"40 + 40": bench.contrastive(dataset)}


def table2(bench: Bench, dataset: Dataset) -> Found:
    """Ways of grouping, and PPT, which has no groups."""
    yelp = bench.yelp()
    ways = {"K-means": "kmeans", "LDA": "lda", "random": "random", "label": "label"}
    starts = {name: bench.meta(yelp, bench.clusters(yelp, method=method)) for name, method in ways.items()}
    return {"40 + 40": bench.tuned(dataset, starts | {"PPT": bench.pretrained(yelp)})}


def grouped_anew(bench: Bench, dataset: Dataset) -> Found:
    """As table 2 without the groups of ``trained-anew``, but each seed of tuning starts from prompts of its own."""
    yelp = bench.yelp()
    groups = {name: bench.clusters(yelp, method=way) for name, way in (("LDA", "lda"), ("random", "random"))}

    def starts(seed: int) -> dict[str, str]:
        return {name: bench.meta(yelp, clusters, seed=seed) for name, clusters in groups.items()}

    return for_each_seed(bench, dataset, starts)


def figure2(bench: Bench, dataset: Dataset) -> Found:
    """Few-shot sizes: so many examples to train on, and as many to validate."""
    yelp = bench.yelp()
    starts = {"MetaPT(Y)": bench.meta(yelp, bench.clusters(yelp)), "PPT(Y)": bench.pretrained(yelp), "PT": "random"}
    sizes = (10, 20, 40, 80, 160, 320)
    return {str(size): bench.tuned(dataset, starts, training_rows=size, validation_rows=size) for size in sizes}


def figure3a(bench: Bench, dataset: Dataset) -> Found:
    """Rows of the source."""
    found = {}
    for rows in (1000, 3000, 10_000, 22_000):
        yelp = bench.yelp(rows)
        start = {"MetaPT(Y)": bench.meta(yelp, bench.clusters(yelp)), "PPT(Y)": bench.pretrained(yelp)}
        found[str(rows)] = bench.tuned(dataset, start)
    return found


def figure3b(bench: Bench, dataset: Dataset) -> Found:
    """Number of groups."""
    yelp = bench.yelp()
    starts = {str(k): bench.meta(yelp, bench.clusters(yelp, clusters=k)) for k in (3, 6, 10, 20, 30)}
    return {name: {"MetaPT(Y)": runs} for name, runs in bench.tuned(dataset, starts).items()}


def ablation(ways: dict[str, Settings]) -> Callable[[Bench, Dataset], Found]:
    """Return an experiment that meta-trains with one setting changed at a time, everything else as in table 1."""

    def run(bench: Bench, dataset: Dataset) -> Found:
        yelp = bench.yelp()
        groups = bench.clusters(yelp)
        starts: dict[int | None, dict[str, str]] = {}  # those of one length are tuned side by side
        for name, settings in ({"MetaPT(Y)": {}} | ways).items():
            length = settings.get("prompt", {}).get("soft_tokens")
            starts.setdefault(length, {})[name] = bench.meta(yelp, groups, **settings)
        found: Runs = {}
        for length, files in starts.items():
            found |= bench.tuned(dataset, files, soft_tokens=length)
        return {"40 + 40": found}

    return run


ABLATIONS: dict[str, dict[str, Settings]] = {
    "gradients": {"exact": {"gradient": "exact"}, "Reptile": {"gradient": "reptile"}},
    "initialisations": {
        "from random": {"initialisation": "random"},
        "from label text": {"initialisation": "label_text"},
    },
    "adaptation": {"3 inner steps": {"inner_steps": 3}, "learned inner rates": {"learn_inner_rates": True}},
    "prompts": {
        "100 soft tokens": {"prompt": {"soft_tokens": 100}},
        "loss over the vocabulary": {"prompt": {"loss": "vocabulary"}},
    },
}
"""What goes beyond the paper: experiment -> name -> the setting that differs."""


def fewer(bench: Bench, dataset: Dataset) -> Found:
    """A handful of labels of each class and no others."""
    yelp = bench.yelp()
    starts = {"MetaPT(Y)": bench.meta(yelp, bench.clusters(yelp)), "PPT(Y)": bench.pretrained(yelp), "PT": "random"}
    return {f"{size} a class": bench.tuned_on_few(dataset, starts, size) for size in (2, 4, 8)}


TUNED = ("alpha 100, beta 0.3", "PPT 0.3", "PT, vocabulary", "FT")
"""What ``choose`` tunes at several rates: three starts, and the whole model."""


def learned(bench: Bench, corpus: str, alphas_and_betas: Pairs, rates: Sequence[float]) -> dict[str, str]:
    """Return prompts that were meta-trained on ``corpus`` at such rates, and those of PPT: name -> file."""
    groups = bench.clusters(corpus)
    starts = {
        f"alpha {alpha:g}, beta {beta:g}": bench.meta(corpus, groups, alpha=alpha, beta=beta)
        for alpha, beta in alphas_and_betas
    }
    return starts | {f"PPT {rate:g}": bench.pretrained(corpus, learning_rate=rate) for rate in rates}


def choose(bench: Bench, dataset: Dataset) -> Found:
    """Rates of the three ways of training, on rows held out of the training files: what the presets come from."""
    yelp = bench.yelp()
    low = ((30.0, 0.1), (30.0, 0.3), (100.0, 0.3), (300.0, 0.3), (1000.0, 0.3), (300.0, 0.1))
    starts = learned(bench, yelp, low, (0.1, 0.3, 1.0)) | {"PT": "random", "PT, vocabulary": "vocabulary"}
    found = {"tuned at 0.03": bench.tuned(dataset, starts, learning_rate=0.03)}
    high = learned(bench, yelp, ((30.0, 1.0), (100.0, 1.0), (300.0, 1.0)), (3.0,))
    found["tuned at 0.03"] |= bench.tuned(dataset, high, learning_rate=0.03)
    few = {name: starts[name] for name in TUNED if name in starts}
    found |= {f"tuned at {rate:g}": bench.tuned(dataset, few, learning_rate=rate) for rate in (0.01, 0.1, 0.3)}
    return found | {f"FT at {rate:g}": bench.full_model(dataset, rate) for rate in (0.0001, 0.0003, 0.001)}


def choose_pseudo(bench: Bench, dataset: Dataset) -> Found:
    """Rates of learning from pseudo-labelled open text, on rows as those of ``choose``."""
    corpus = bench.pseudo_labelled()
    rates = ((30.0, 0.3), (100.0, 0.3), (300.0, 0.3), (30.0, 1.0), (100.0, 1.0))
    found = bench.tuned(dataset, learned(bench, corpus, rates, (0.3, 1.0)), learning_rate=0.03)
    lower = learned(bench, corpus, ((10.0, 0.3),), ())
    return {"tuned at 0.03": found | bench.tuned(dataset, lower, learning_rate=0.03)}


def choose_plain(bench: Bench, dataset: Dataset) -> Found:
    """Rates of tuning from a random start, on rows as those of ``choose``, which has the lowest."""
    return {
        f"tuned at {rate:g}": bench.tuned(dataset, {"PT": "random"}, learning_rate=rate) for rate in (0.1, 0.3, 1.0)
    }


def choose_batches(bench: Bench, dataset: Dataset) -> Found:
    """PPT that reads as many texts, four a step as in the paper, at several rates, on rows as those of ``choose``."""
    yelp = bench.yelp()
    rates = (0.03, 0.1, 0.3)
    starts = {f"PPT {rate:g}, batches of 4": bench.pretrained(yelp, batch=4, learning_rate=rate) for rate in rates}
    return {"tuned at 0.03": bench.tuned(dataset, starts, learning_rate=0.03)}


def choose_tasks(bench: Bench, dataset: Dataset) -> Found:
    """MetaPT(Y) that reads as many texts, of fewer tasks a step, at several betas, on rows as those of ``choose``."""
    yelp = bench.yelp()
    groups = bench.clusters(yelp)
    tried = ((1, 0.03), (1, 0.1), (1, 0.3), (2, 0.1))
    starts = {
        f"alpha 100, beta {beta:g}, {count(tasks, 'tasks')} at once": bench.meta(
            yelp, groups, beta=beta, **bench.fewer_tasks(tasks)
        )
        for tasks, beta in tried
    }
    return {"tuned at 0.03": bench.tuned(dataset, starts, learning_rate=0.03)}


def stopping(bench: Bench, dataset: Dataset) -> Found:
    """What a better validation is, and whether the start is validated, on rows as those of ``choose``."""
    yelp = bench.yelp()
    starts = {"MetaPT(Y)": bench.meta(yelp, bench.clusters(yelp)), "PPT(Y)": bench.pretrained(yelp), "PT": "random"}
    return {
        f"{'start and ' if start else ''}epochs by {by}": bench.tuned(
            dataset, starts, improvement=by, validate_start=start
        )
        for by in ("accuracy", "loss")
        for start in (False, True)
    }


@dataclass(frozen=True)
class Experiment:
    """What is run, on which targets (empty: all), and on which rows."""

    run: Callable[[Bench, Dataset], Found]
    targets: tuple[str, ...] = ()
    development: bool = False


EXPERIMENTS = {
    "table1": Experiment(table1),
    "ppt": Experiment(ppt),
    "trained-anew": Experiment(trained_anew),
    "small-batches": Experiment(small_batches),
    "untouched": Experiment(untouched),
    "plain": Experiment(plain),
    "baselines": Experiment(baselines),
    "pseudo": Experiment(pseudo),
    "setfit": Experiment(setfit),
    "own": Experiment(own, tuple(TOPICS)),
    "templates": Experiment(templates, tuple(TOPICS)),
    "table2": Experiment(table2, ("sst5",)),
    "grouped-anew": Experiment(grouped_anew, ("sst5",)),
    "figure2": Experiment(figure2, ("sst2",)),
    "figure3a": Experiment(figure3a, ("sst5",)),
    "figure3b": Experiment(figure3b, ("sst5",)),
    **{name: Experiment(ablation(ways), ("sst2", "amazon2")) for name, ways in ABLATIONS.items()},
    "fewer": Experiment(fewer, ("sst2", "amazon2")),
    "choose": Experiment(choose, ("sst2", "amazon5", "sentihood"), development=True),
    "choose-pseudo": Experiment(choose_pseudo, ("sst2", "amazon5", "sentihood"), development=True),
    "choose-plain": Experiment(choose_plain, ("sst2", "amazon5", "sentihood"), development=True),
    "choose-batches": Experiment(choose_batches, ("sst2", "amazon5", "sentihood"), development=True),
    "choose-tasks": Experiment(choose_tasks, ("sst2", "amazon5", "sentihood"), development=True),
    "stopping": Experiment(stopping, ("sst2", "amazon5", "sentihood"), development=True),
}
