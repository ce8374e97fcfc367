"""Every stage as a small job, made in one place, and what its run leaves that must be the same after any fault."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import forking
import numpy as np
import pyarrow.parquet as pq
from fake_encoder import FakeEncoder
from preloaded import LOADED, chosen_backbone
from safetensors import safe_open

import engine.jobs.session
from engine.events import Event, Failed, Finished
from engine.jobs import (
    AnnotateJob,
    ClusterJob,
    EvaluateJob,
    FullModelJob,
    ImportJob,
    Job,
    MetaTrainJob,
    PredictJob,
    PretrainBackboneJob,
    PretrainJob,
    ProbeJob,
    SelectJob,
    TuneJob,
)
from engine.jobs.session import Session
from engine.project import Project
from engine.running.perform import perform
from engine.running.process import EngineProcess
from engine.settings import BackboneSettings, PromptSettings, TuneSettings
from engine.stage import Part, StopToken
from engine.storage import UNFINISHED
from resources import resource

if TYPE_CHECKING:
    from engine.backbones.load import Backbone

WORDS = {1: "awful dull broken late", 2: "poor slow weak", 3: "fine plain usual", 4: "good quick kind", 5: "superb"}
TIMED = {"events.jsonl", "job.json", "result.json", "report.json", "training.json", "checkpoint.safetensors"}
TIMED |= {"tokenizer_config.json"}
"""Files that hold times, paths or sets, or that are gone on with: what they say may differ between two runs."""


class Encoder(FakeEncoder):
    """The fake encoder, as the teacher of a backbone too."""

    def layer_means(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray:
        counts = np.array([[text.count(letter) for letter in "aeiou"] for text in texts], np.float16)
        return np.tile(counts, (1, len(layers)))

    def word_vectors(self, pieces: Sequence[str]) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(len(pieces), 5)).astype(np.float32)


class FastSession(Session):
    """A session whose sentence encoder needs no model, and that finds the backbone loaded, if it is."""

    def backbone(self, settings: BackboneSettings) -> Part[Backbone]:
        known = next((held for held_settings, held in LOADED if held_settings == settings), None)
        return known if known is not None else (yield from super().backbone(settings))

    def sentence_encoder(self, device: str = "auto") -> Encoder:  # type: ignore[override]
        return Encoder()


@dataclass(frozen=True)
class Inputs:
    """What the jobs start from: files, finished runs, and a backbone."""

    folder: Path
    backbone: BackboneSettings

    def run(self, name: str) -> str:
        """Folder of a finished run."""
        return str(self.folder / "runs" / name)

    @property
    def prompting(self) -> dict[str, object]:
        return {"backbone": self.backbone, "prompt": PromptSettings(soft_tokens=4, text_tokens=24)}

    @property
    def target(self) -> dict[str, object]:
        tune = TuneSettings(training_rows=8, validation_rows=8, test_rows=16, seeds=2, epochs=3, checkpoint_every=2)
        words = {"unhappy": "bad", "happy": "good"}
        return {"corpus": self.run("target"), "tune": tune, "words": words, **self.prompting}


JobMaker: TypeAlias = Callable[[Inputs, Path], Job]
"""Makes the job of a stage from its inputs and the project's folder (for its cache and output)."""


def _import(inputs: Inputs, project: Path) -> Job:
    settings = {"text_column": "review", "label_column": "stars", "maximum_rows": 1200, "balance": True}
    return ImportJob(files=[str(inputs.folder / "many.csv")], settings=settings)


def _annotate(inputs: Inputs, project: Path) -> Job:
    settings = {"confidence": 0.3, "out_of_domain_share": 0.1, "balance": False}
    pair = {"labelled": inputs.run("source"), "unlabelled": inputs.run("open")}
    return AnnotateJob(**pair, cache=str(project / "embeddings"), settings=settings)


def _select(inputs: Inputs, project: Path) -> Job:
    pair = {"labelled": inputs.run("source"), "unlabelled": inputs.run("open")}
    return SelectJob(
        annotated=inputs.run("annotated"),
        **pair,
        edits={1: "5", 2: ""},
        settings={"confidence": 0.25, "balance": False},
    )


def _cluster(inputs: Inputs, project: Path) -> Job:
    settings = {"method": "kmeans", "clusters": 4, "projection": "pca"}
    return ClusterJob(corpus=inputs.run("source"), cache=str(project / "embeddings"), settings=settings)


def _meta_train(inputs: Inputs, project: Path) -> Job:
    settings = {"shots": 2, "steps": 8, "validate_every": 4, "validation_rows": 4, "checkpoint_every": 3}
    settings |= {"alpha": 1.0, "beta": 0.3, "patience": 9}  # type: ignore[dict-item]
    pair = {"corpus": inputs.run("source"), "clusters": inputs.run("clusters")}
    return MetaTrainJob(**pair, settings=settings, **inputs.prompting)


def _pretrain(inputs: Inputs, project: Path) -> Job:
    settings = {"steps": 16, "validate_every": 5, "validation_rows": 10, "checkpoint_every": 4}
    return PretrainJob(corpus=inputs.run("source"), settings=settings, **inputs.prompting)


def _tune(inputs: Inputs, project: Path) -> Job:
    return TuneJob(starts={"PT": "random", "words": "vocabulary"}, **inputs.target)


def _full_model(inputs: Inputs, project: Path) -> Job:
    return FullModelJob(settings={"epochs": 2, "learning_rate": 0.001}, **inputs.target)


def _probe(inputs: Inputs, project: Path) -> Job:
    once = TuneSettings(training_rows=8, validation_rows=8, test_rows=16, seeds=1)
    cache = str(project / "embeddings")
    return ProbeJob(source=inputs.run("source"), cache=cache, **(inputs.target | {"tune": once}))


def _predict(inputs: Inputs, project: Path) -> Job:
    return PredictJob(
        prompt=inputs.run("tuned") + "/prompt.safetensors",
        files=[str(inputs.folder / "target.csv")],
        output=str(project / "predictions.csv"),
        backbone=inputs.backbone,
        reading={"text_column": "message"},
    )


def _evaluate(inputs: Inputs, project: Path) -> Job:
    prompt = inputs.run("tuned") + "/prompt.safetensors"
    return EvaluateJob(prompt=prompt, corpus=inputs.run("target"), backbone=inputs.backbone)


def _pretrain_backbone(inputs: Inputs, project: Path) -> Job:
    phase = {"steps": 5, "tokens_per_step": 128, "warmup_steps": 2, "spans": 0.6, "vectors": 0.4}
    shape = {"pieces": 300, "width": 16, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    small = {"length": 24, "passages": 30, "teacher_layers": [0, 1], "validation_rows": 20, "words": []}
    every = {"validate_every": 3, "checkpoint_every": 2, "device": "cpu", "precision": "float32"}
    files = [str(inputs.folder / "text.csv")]
    return PretrainBackboneJob(settings={"files": files, "phases": [phase], **shape, **small, **every})


STAGES: dict[str, JobMaker] = {
    "import": _import,
    "annotate": _annotate,
    "select": _select,
    "cluster": _cluster,
    "meta-train": _meta_train,
    "pretrain-prompt": _pretrain,
    "tune": _tune,
    "tune-full-model": _full_model,
    "linear-probe": _probe,
    "predict": _predict,
    "evaluate": _evaluate,
    "pretrain-backbone": _pretrain_backbone,
}
"""Every stage of the engine."""


def be_fast() -> None:
    """Do without a sentence encoder in this process."""
    engine.jobs.session.Session = FastSession  # type: ignore[misc]


@contextmanager
def fast_engine() -> Iterator[EngineProcess]:
    """An engine process like any other, but for how it is started and for its sentence encoder."""
    with forking.forked_engines(be_fast):
        process = EngineProcess()
    with process:
        yield process


def make_inputs(folder: Path, backbone: Path) -> Inputs:
    """Write the files that people bring, and run what later stages stand on."""
    inputs = Inputs(folder, chosen_backbone(str(backbone)))
    _write_reviews(folder / "many.csv", 3000)
    _write_reviews(folder / "source.csv", 160)
    _write_reviews(folder / "open.csv", 120)
    with open(folder / "target.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["message", "mood"])
        for number in range(64):
            mood = ("unhappy", "happy")[number % 2]
            writer.writerow([f"parcel {number} came {'broken' if mood == 'unhappy' else 'early'}", mood])
    with open(folder / "text.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text"])
        with open(resource("sample", "reviews.csv"), encoding="utf-8") as reviews:
            writer.writerows([row["review"]] for row in itertools.islice(csv.DictReader(reviews), 150))
    labelled = {"text_column": "review", "label_column": "stars"}
    steps: dict[str, Job] = {
        "source": ImportJob(files=[str(folder / "source.csv")], settings=labelled),
        "open": ImportJob(files=[str(folder / "open.csv")], settings={"text_column": "review"}),
        "target": ImportJob(
            files=[str(folder / "target.csv")], settings={"text_column": "message", "label_column": "mood"}
        ),
        "annotated": _annotate(inputs, folder),
        "clusters": _cluster(inputs, folder),
        "tuned": _tune(inputs, folder),
    }
    session = FastSession()
    for name, job in steps.items():
        run_here(job, Path(inputs.run(name)), session)
    return inputs


def _write_reviews(path: Path, rows: int) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["review", "stars"])
        for number in range(rows):
            stars = 1 + number % 5
            writer.writerow([f"{path.stem} soup number {number} was {WORDS[stars]} and the table too", stars])


def run_here(job: Job, folder: Path, session: Session) -> list[Event]:
    """Run a job in this process to its end, which must be a good one."""
    events = list(perform(job, folder, session, StopToken()))
    assert isinstance(events[-1], Finished), events[-1]
    return events


def fail_here(job: Job, folder: Path, session: Session) -> Failed:
    """Run a job in this process to its end, which must be a failure with a sentence."""
    last = list(perform(job, folder, session, StopToken()))[-1]
    assert isinstance(last, Failed), last
    assert last.error != "EngineProcessError", last.details
    assert last.remedy, last
    return last


def results(project: Path) -> dict[str, str]:
    """Return file -> digest of all that the runs of a project left, but for times, paths and checkpoints."""
    found = {}
    for path in _visible(project):
        if path.name not in TIMED and path.parent != project and not path.name.startswith("job"):
            found[path.relative_to(project).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in project.glob("predictions.*"):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check_whole(folder: Path) -> None:
    """Read every file of a project that does not say of itself that it is a part; each must be whole."""
    for path in _visible(folder):
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".parquet":
            pq.read_table(path)
        elif path.suffix == ".safetensors":
            with safe_open(path, framework="np") as stream:
                assert list(stream.keys())
        elif path.name == "events.jsonl":
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                json.loads(line)


def _visible(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(
            part.endswith((UNFINISHED, ".part", ".part.json")) for part in path.relative_to(folder).parts
        ):
            yield path


def begin(project: Path, job: Job) -> Path:
    """Return the folder of a job's run in a new or an old project, as window and command line find it."""
    with Project.open_or_create(project) as opened:
        return opened.run_folder(job)[0]
