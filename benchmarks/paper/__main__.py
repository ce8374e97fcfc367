"""The paper's tables and figures on real data and one backbone, and what goes beyond the paper.

    python -m benchmarks.paper --data DIR [--data MORE] [--backbone NAME] [--only table1 ...] [--targets sst2 ...]

The first ``DIR`` holds ``downstream/``, ``text/`` and ``pretraining/yelp5_train.parquet``; every further one is a
folder of targets, NAME_train.parquet, NAME_dev.parquet and NAME_test.parquet with the columns text and label. Each
figure comes from a run of this command; run again with the same ``--work``, it goes on where it was interrupted.
``choose`` never sees a test row. Writes ``paper.json``, ``paper.csv`` and the plots into ``--out`` after every target.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.paper.bench import Bench
from benchmarks.paper.data import find_datasets, find_topics, for_development, shortened
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.report import differences, joined, table, write_csv
from benchmarks.provenance import RESULTS, provenance
from engine.clustering.store import Clustering
from engine.events import Event, Notice
from engine.project import Project
from engine.running.pipeline import Steps
from engine.running.process import EngineProcess
from engine.settings import BackboneSettings
from engine.storage import read_json, write_json

FIGURE4 = "figure4"


def show(role: str, event: Event) -> None:
    """Print what a person who waits wants to see."""
    if isinstance(event, Notice):
        print(f"  {role}: {event.text}", flush=True)


def origin(bench: Bench, seconds: float) -> dict[str, Any]:
    """Return where figures come from."""
    return {
        **provenance("torch", "transformers", "sentence-transformers", "scikit-learn"),
        "backbone": bench.backbone.backbone,
        "settings": {part: bench.settings(part) for part in ("prompt", "meta_train", "pretrain", "tune")},
        "source_rows": bench.rows,
        "seconds": round(seconds),
    }


def draw(document: dict[str, Any], bench: Bench, out: Path, only: list[str]) -> None:
    """Write the plots of what has been measured; without matplotlib say so."""
    try:
        from benchmarks.paper import plots
    except ModuleNotFoundError:
        print("No plots: matplotlib is not installed (pip install -e .[benchmarks]).")
        return
    for name in set(plots.AXES) & set(document):
        plots.curves(document, name, out / f"{name}.png")
    if FIGURE4 in only:
        yelp, points = bench.yelp(), {}
        for number in (3, 6, 10):
            groups = Clustering.open(bench.clusters(yelp, clusters=number, projection="tsne", projection_rows=5000))
            if groups.projection is not None:
                points[number] = groups.projection[:3000], groups.assignment[:3000]
        plots.scatters(points, out / f"{FIGURE4}.png")


def main() -> None:
    """Run the experiments that are asked for; write what is there after each target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--backbone", default="bundled")
    names = [*EXPERIMENTS, FIGURE4]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--targets", nargs="*", help="names of targets instead of an experiment's own")
    parser.add_argument("--preset", choices=["quick", "laptop", "paper"], default="laptop")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=10_000, help="of the labelled source")
    parser.add_argument("--test-rows", type=int, help="test on a seeded sample of so many of the fixed test rows")
    parser.add_argument("--work", type=Path, default=Path("paper.metapt"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    folders = [folder / "downstream" if (folder / "downstream").is_dir() else folder for folder in arguments.data]
    results = arguments.out / "paper.json"
    document: dict[str, Any] = read_json(results) if results.exists() else {}
    splits = arguments.work / "splits"
    with Project.open_or_create(arguments.work) as project, EngineProcess() as engine:
        tested = find_datasets(folders, splits)
        usual = [dataset.name for dataset in tested]
        tested += find_topics(arguments.data[0], splits)
        if arguments.test_rows is not None:
            tested = shortened(tested, splits, arguments.test_rows)
        steps = Steps(project, engine.run, show)
        backbone = BackboneSettings(backbone=arguments.backbone)
        numbers = {"seeds": arguments.seeds, "first_seed": arguments.first_seed, "rows": arguments.rows}
        bench = Bench(arguments.data[0], splits, steps, backbone, preset=arguments.preset, **numbers)
        for name in arguments.only:
            if name == FIGURE4:
                continue
            experiment = EXPERIMENTS[name]
            wanted = arguments.targets or experiment.targets or usual
            datasets = [dataset for dataset in tested if dataset.name in wanted]
            for dataset in for_development(datasets, splits) if experiment.development else datasets:
                began = time.time()
                print(f"{name}: {dataset.name}", flush=True)
                found = experiment.run(bench, dataset)
                entry = {"figures": found, **origin(bench, time.time() - began)}
                entry["test_rows"] = pq.read_metadata(dataset.test).num_rows
                document.setdefault(name, {})[dataset.name] = entry
                write_json(results, document)
                write_csv(document, arguments.out / "paper.csv")
            print(f"\n{table(document, name)}\n\n{differences(document, name)}\n", flush=True)
        draw(document, bench, arguments.out, arguments.only)
    whole = joined(document)
    print(f"\n{table(whole, 'table 1')}\n\n{differences(whole, 'table 1')}")
    print(f"\nmacro-F1, %\n\n{table(whole, 'table 1', 'macro_f1')}")
    print(f"\nsteps to the best validation\n\n{table(whole, 'table 1', 'best_step', 1)}")
    fives = {"table 1": {name: entry for name, entry in whole["table 1"].items() if name.endswith("5")}}
    print(f"\nrecall of the lowest of five classes, %\n\n{table(fives, 'table 1', 'recall of 0')}")


if __name__ == "__main__":
    main()
