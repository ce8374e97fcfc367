"""Is a backbone worth prompting? Spans that it fills, a linear probe, and prompt tuning from three starts.

    python -m benchmarks.backbone --data DIR [--backbone FOLDER] [--work FOLDER] [--out FILE.json]

``DIR`` holds ``downstream/sst2_*.parquet``, ``downstream/amazon2_*.parquet`` and ``pretraining/yelp5_train.parquet``.
Prompts are tuned with 40+40 examples from sampled vocabulary (PT), from a prompt pre-trained on Yelp (PPT) and from one
meta-learned on the same rows (MetaPT), as in ``benchmarks/configs``; run again with the same ``--work``, it goes on
where it was interrupted. Nothing is chosen on test rows: the probe's regularisation comes from SST-2's dev file.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.provenance import RESULTS, provenance
from engine import jobs
from engine.backbones.load import Backbone, load_backbone
from engine.evaluation.results import RunResults
from engine.events import Event, Metric, Notice
from engine.pretraining.objectives import SpanCorruption
from engine.project import Project
from engine.running.pipeline import Steps, import_job, read_pipeline
from engine.running.process import EngineProcess
from engine.settings import BackboneSettings, ClusterSettings, ImportSettings
from engine.stage import result_of
from engine.storage import write_json

CONFIGS = Path(__file__).parent / "configs"
CLOZES = (
    "The food was cold and the waiter was rude, so it was a <extra_id_0> evening.",
    "I laughed from the first minute to the last. What a <extra_id_0> film!",
    "We stayed at this hotel for three <extra_id_0> and the room was never cleaned.",
    "The battery <extra_id_0> after two hours, so I sent it back.",
    "The government said on Monday that it would raise <extra_id_0> next year.",
)
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def filled(backbone: Backbone, text: str) -> str:
    """Return the span that the backbone fills in greedily."""
    batch = backbone.tokenizer([text], return_tensors="pt")
    with torch.inference_mode():
        answer = backbone.model.generate(**batch, max_new_tokens=8, do_sample=False)[0].tolist()
    sentinels = [place for place, token in enumerate(answer) if "<extra_id" in backbone.tokenizer.decode([token])]
    start = sentinels[0] + 1 if sentinels else 1
    end = sentinels[1] if len(sentinels) > 1 else len(answer)
    return str(backbone.tokenizer.decode(answer[start:end], skip_special_tokens=True)).strip()


def span_loss(backbone: Backbone, texts: list[str], batches: int = 32) -> float:
    """Return the loss of span corruption (15 %, spans of 3, 128 tokens) on ``texts``, in nats a token."""
    stream = np.concatenate([np.array(ids) for ids in backbone.tokenizer(texts).input_ids])
    sentinels = np.array(backbone.tokenizer.convert_tokens_to_ids([f"<extra_id_{number}>" for number in range(100)]))
    objective = SpanCorruption(stream, sentinels, 128)
    losses = []
    for number in range(batches):
        batch = objective.batch(np.random.default_rng(number), 4096)
        with torch.inference_mode():
            answer = backbone.model(input_ids=torch.from_numpy(batch.inputs), labels=torch.from_numpy(batch.labels))
        losses.append(float(answer.loss))
    return float(np.mean(losses))


def mean_states(backbone: Backbone, texts: list[str]) -> np.ndarray:
    """Return the mean of the encoder's last states over each text's tokens, float32 [n, d]."""
    found = np.empty((len(texts), backbone.width), np.float32)
    order = np.argsort([len(text) for text in texts])
    for start in range(0, len(texts), 128):
        rows = order[start : start + 128]
        batch = backbone.tokenizer(
            [texts[row] for row in rows], padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        with torch.inference_mode():
            states = backbone.model.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        found[rows] = ((states * mask).sum(1) / mask.sum(1)).numpy()
    return found


def linear_probe(backbone: Backbone, data: Path) -> dict[str, float]:
    """Return the accuracy of logistic regression on SST-2, its regularisation chosen on the dev file."""
    states, labels = {}, {}
    for part in ("train", "dev", "test"):
        table = pq.read_table(data / "downstream" / f"sst2_{part}.parquet")
        states[part] = mean_states(backbone, table.column("text").to_pylist())
        labels[part] = table.column("label").to_numpy()
    scaler = StandardScaler().fit(states["train"])
    on_dev, best = max(
        (
            (probe.score(scaler.transform(states["dev"]), labels["dev"]), probe)
            for strength in STRENGTHS
            for probe in [
                LogisticRegression(C=strength, max_iter=2000).fit(scaler.transform(states["train"]), labels["train"])
            ]
        ),
        key=lambda pair: pair[0],
    )
    return {
        "strength": best.C,
        "dev": float(on_dev),
        "test": float(best.score(scaler.transform(states["test"]), labels["test"])),
    }


def show(role: str, event: Event) -> None:
    """Print what a person who waits wants to see."""
    if isinstance(event, Notice) or (isinstance(event, Metric) and event.name.startswith("validation acc")):
        print(f"  {role}: {event}", flush=True)


def prompts(settings: BackboneSettings, data: Path, work: Path) -> dict[str, Any]:
    """Return dataset -> method -> summary over the seeds."""
    found = {}
    with Project.open_or_create(work) as project, EngineProcess() as engine:
        steps = Steps(project, engine.run, show)
        for dataset, config in (("SST-2", "yelp_to_sst2.toml"), ("Amazon-2", "yelp_to_amazon2.toml")):
            pipeline = read_pipeline(CONFIGS / config, data=data)
            corpora = {
                role: str(
                    steps.run(role, import_job(corpus.files, ImportSettings(**corpus.model_dump(exclude={"files"}))))
                )
                for role, corpus in (("source", pipeline.source), ("target", pipeline.target), ("test", pipeline.test))
                if corpus is not None
            }
            source, common = corpora["source"], {"backbone": settings, "prompt": pipeline.prompt}
            grouping = ClusterSettings(
                method=pipeline.cluster.method, clusters=pipeline.cluster.clusters, projection="none"
            )
            cache = str(project.cache.resolve())
            groups = steps.run("clusters", jobs.ClusterJob(corpus=source, cache=cache, settings=grouping))
            meta = jobs.MetaTrainJob(corpus=source, clusters=str(groups), settings=pipeline.meta_train, **common)
            learned = steps.run("meta-train", meta)
            ppt = steps.run("pretrain-prompt", jobs.PretrainJob(corpus=source, settings=pipeline.pretrain, **common))
            starts = {name: str(run / "prompt.safetensors") for name, run in (("MetaPT", learned), ("PPT", ppt))}
            tune = jobs.TuneJob(
                starts=starts | {"PT": "vocabulary"},
                corpus=corpora["target"],
                test=corpora["test"],
                tune=pipeline.tune,
                **common,
            )
            found[dataset] = RunResults.open(steps.run("tune", tune)).summary
            print(dataset, {name: round(part["accuracy_mean"], 4) for name, part in found[dataset].items()}, flush=True)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="bundled", help="bundled or a folder")
    parser.add_argument("--precision", default="auto", help="of the prompts: auto, float32 or bfloat16")
    parser.add_argument("--work", type=Path, default=Path("backbone.metapt"))
    parser.add_argument("--out", type=Path, default=RESULTS / "backbone.json")
    parser.add_argument("--skip-prompts", action="store_true", help="only spans and the linear probe")
    arguments = parser.parse_args()
    began = time.time()
    backbone = result_of(
        load_backbone(BackboneSettings(backbone=arguments.backbone, device="cpu", precision="float32"))
    )
    reviews = pq.read_table(arguments.data / "downstream" / "amazon2_test.parquet").column("text").to_pylist()
    result: dict[str, Any] = {
        "command": "python -m benchmarks.backbone --data DIR",
        **provenance("torch", "transformers", "scikit-learn"),
        "backbone": {"name": backbone.identity.name, "parameters": backbone.parameters},
        "precision": arguments.precision,
        "span_loss_on_amazon2_test": round(span_loss(backbone, reviews), 4),
        "filled": {text: filled(backbone, text) for text in CLOZES},
        "linear_probe_sst2": linear_probe(backbone, arguments.data),
    }
    print({name: result[name] for name in ("span_loss_on_amazon2_test", "filled", "linear_probe_sst2")}, flush=True)
    if not arguments.skip_prompts:
        settings = BackboneSettings(backbone=arguments.backbone, precision=arguments.precision)
        result["prompts"] = prompts(settings, arguments.data, arguments.work)
    result["seconds"] = round(time.time() - began)
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
