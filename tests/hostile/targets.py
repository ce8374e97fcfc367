"""Every door through which a file comes in: how inputs for it are made, and what is done with one."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile import mutations, seeds
from hostile.mutations import Files
from hostile.text_targets import TEXT_TARGETS, Input, Target
from hostile.watch import Step
from hypothesis import strategies as st

from engine.errors import MetaPTError
from engine.settings import ImportSettings
from engine.stage import result_of


def place(files: Files, folder: Path) -> None:
    """Write an input into ``folder``, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# What MetaPT wrote and somebody changed -------------------------------------------------------------------------------


def _plain(strategy: st.SearchStrategy[Files]) -> st.SearchStrategy[Input]:
    return st.tuples(strategy, st.just({}))


def _json_of(files: Files, name: str) -> st.SearchStrategy[bytes]:
    import json

    return mutations.mutated_json([json.loads(files[name])])


def _prompt_files(folder: Path) -> st.SearchStrategy[Input]:
    prompt, _ = seeds.make_prompts(folder)
    made = mutations.mutated_safetensors([prompt.read_bytes()])
    return _plain(made.map(lambda content: {"prompt.safetensors": content}))


def _peft_folders(folder: Path) -> st.SearchStrategy[Input]:
    _, peft = seeds.make_prompts(folder)
    files = seeds.read_folder(peft)
    parts = {name: _json_of(files, name) for name in ("adapter_config.json", "metapt.json")}
    parts["adapter_model.safetensors"] = mutations.mutated_safetensors([files["adapter_model.safetensors"]])
    return _plain(mutations.mutated_folder(files, parts))


def _read_prompt(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.events import Finished, to_json
    from engine.jobs.session import Session
    from engine.prompting.prompt_file import load_prompt, save_peft, save_prompt

    path = folder / "in" / "prompt.safetensors"
    path = path if path.exists() else folder / "in"

    def use() -> None:
        prompt = load_prompt(path)
        assert prompt.vectors.ndim == 2
        to_json(Finished("", "completed", Session().describe_prompt(str(path))))
        save_prompt(prompt, folder / "again.safetensors")
        save_peft(prompt, folder / "again")

    yield use


def _probe_files(folder: Path) -> st.SearchStrategy[Input]:
    made = mutations.mutated_safetensors([seeds.make_probe(folder).read_bytes()])
    return _plain(made.map(lambda content: {"probe.safetensors": content}))


def _read_probe(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    import numpy as np

    from engine.evaluation.probe_file import load_probe, save_probe

    def use() -> None:
        probe = load_probe(folder / "in" / "probe.safetensors")
        chances = probe.probabilities(np.ones((2, probe.weights.shape[1]), np.float32))
        assert chances.shape == (2, len(probe.classes))
        save_probe(probe, folder / "again.safetensors")

    yield use


def _corpus_folders(folder: Path) -> st.SearchStrategy[Input]:
    files = seeds.read_folder(seeds.make_corpus(folder / "corpus"))
    wholes = [files["corpus.parquet"], *seeds.parquet_files()]
    tables = mutations.mutated_bytes(wholes[:1]) | st.sampled_from(wholes)
    return _plain(
        mutations.mutated_folder(files, {"corpus.json": _json_of(files, "corpus.json"), "corpus.parquet": tables})
    )


def _read_corpus(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.corpus.store import Corpus

    def use() -> None:
        corpus = Corpus.open(folder / "in")
        assert all(isinstance(text, str) for text in corpus.texts)
        assert all(isinstance(name, str) for name in corpus.classes)
        assert len(corpus.labels) == corpus.rows
        sum(len(batch) for batch in corpus.batches())
        _ = corpus.confidence

    yield use


def _cluster_folders(folder: Path) -> st.SearchStrategy[Input]:
    files = seeds.read_folder(seeds.make_clustering(folder / "clusters", seeds.make_corpus(folder / "corpus")))
    wholes = [files["clusters.parquet"], *seeds.parquet_files()[:8]]
    parts = {
        "clusters.json": _json_of(files, "clusters.json"),
        "clusters.parquet": mutations.mutated_bytes(wholes[:1]) | st.sampled_from(wholes),
        "projection.npy": mutations.mutated_bytes([files["projection.npy"]]),
    }
    return _plain(mutations.mutated_folder(files, parts))


def _read_clusters(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.clustering.store import Clustering

    def use() -> None:
        found = Clustering.open(folder / "in")
        assert [item.number for item in found.clusters] == list(range(len(found.clusters)))
        assert all(isinstance(item.name, str) and sum(item.labels.values()) >= 0 for item in found.clusters)
        if found.projection is not None:
            assert float(found.projection.sum()) is not None

    yield use


def _checkpoints(folder: Path) -> st.SearchStrategy[Input]:
    whole = (seeds.make_checkpoint(folder) / "checkpoint.safetensors").read_bytes()
    return _plain(mutations.mutated_safetensors([whole]).map(lambda content: {"checkpoint.safetensors": content}))


def _read_checkpoint(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    import torch

    from engine.checkpoint import load_checkpoint, restore_optimizer

    def use() -> None:
        found = load_checkpoint(folder / "in", "run")
        assert found is not None
        assert isinstance(found.state, dict)
        restore_optimizer(torch.optim.AdamW([torch.zeros(2, 3, requires_grad=True)]), found.tensors)

    yield use


def _toml(text: str) -> Callable[[Path], st.SearchStrategy[Input]]:
    words = [
        b"= 1", b"= []", b"= {}", b'= "~nobody/x"', b'= ["~nobody/x"]', b'= ["\\u0000"]', b"= nan", b"= inf",
        b"= -1", b"[a]", b"[[a]]", b"= " + b"9" * 5000, b"= " + b"[" * 3000, b"= 2024-02-31", b"= 1e999",
        b"= 0xffff", b"tasks = 3", b"start = [1]\n", b"files = 3\n", b"clusters = 1_000_000\n",
        b"clusters = 9" + b"0" * 30, b'"" = 1\n',
    ]  # fmt: skip

    def inputs(folder: Path) -> st.SearchStrategy[Input]:
        wholes = [text.encode()]
        lines = st.permutations(text.strip().splitlines())
        replaced = mutations.mutated_bytes(wholes, words)
        beside = dict.fromkeys(("a.csv", "b.csv"), seeds.csv_files()[0])
        shuffled = lines.map(lambda found: "\n".join(found).encode())
        content = mutations.mutated_bytes(wholes) | replaced | shuffled
        return _plain(content.map(lambda found: {"a.toml": found, **beside}))

    return inputs


def _read_pipeline(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.running.pipeline import import_job, read_pipeline

    def use() -> None:
        import_job(read_pipeline(folder / "in" / "a.toml", data=folder / "in").source.files, ImportSettings())

    yield use


def _read_pretraining(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.running.pipeline import read_pretraining

    yield lambda: read_pretraining(folder / "in" / "a.toml", data=folder / "in")


def _backbones(folder: Path) -> st.SearchStrategy[Input]:
    files = seeds.read_folder(seeds.make_backbone(folder / "t5"))
    names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    parts = {name: _json_of(files, name) for name in names if name in files}
    parts["model.safetensors"] = mutations.mutated_safetensors([files["model.safetensors"]])
    parts["config.json "] = parts["config.json"]
    added = st.sampled_from(
        [
            {"adapter_config.json": b'{"base_model_name_or_path": "../../elsewhere"}'},
            {"model.safetensors.index.json": b'{"weight_map": {"shared.weight": "../../up.safetensors"}}'},
            {"added_tokens.json": b'{"x": 99999999999}'},
            {"special_tokens_map.json": b'{"unk_token": []}'},
            {"spiece.model": b"\x00\xff" * 40},
            {},
        ]
    )
    broken = mutations.mutated_bytes([files["spiece.model"]]).map(
        lambda content: {**{name: files[name] for name in files if name != "tokenizer.json"}, "spiece.model": content}
    )
    folders = st.one_of(*[mutations.mutated_folder(files, parts)] * 9, broken)
    return _plain(st.builds(lambda one, more: {**one, **more}, folders, st.one_of(*[st.just({})] * 9, added)))


def _read_backbone(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    import torch

    from engine.backbones.load import load_backbone
    from engine.settings import BackboneSettings

    def use() -> None:
        chosen = BackboneSettings(backbone=str(folder / "in"), device="cpu", precision="float32", offline=True)
        backbone = result_of(load_backbone(chosen))
        assert backbone.width > 0
        assert all(not weight.requires_grad and weight.dtype == torch.float32 for weight in backbone.model.parameters())

    yield use


def _projects(folder: Path) -> st.SearchStrategy[Input]:
    files = seeds.read_folder(seeds.make_project(folder / "a.metapt"))
    parts = {
        name: _json_of(files, name) for name in files if name.endswith(("project.json", "job.json", "result.json"))
    }
    parts["project.json "] = parts["project.json"]
    parts["project.db"] = mutations.mutated_bytes([files["project.db"]])
    return _plain(mutations.mutated_folder(files, parts))


def _read_project(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.clustering.edits import ClusterEdit
    from engine.jobs import ClusterJob
    from engine.project import Project

    def look(project: Project) -> Iterator[Step]:
        for role in ("source", "target", "clusters", "tune"):
            if project.has_role(role):
                yield functools.partial(project.role, role)
        yield lambda: project.value("task", {})
        yield lambda: project.labels("hash")
        yield lambda: project.cluster_edits(project.folder / "runs" / "0002-cluster")
        yield lambda: project.note("0001-import")
        yield lambda: project.runs("import", "cluster")
        if not project.read_only:
            yield lambda: project.run_folder(ClusterJob(corpus="c", cache=""))
            yield lambda: project.set_value("task", 1)
            yield lambda: project.assign("tune", project.folder / "runs" / "0001-import")
            yield lambda: project.set_label("hash", 2, "1")
            yield lambda: project.set_cluster_edits(project.folder / "runs" / "0002-cluster", {2: ClusterEdit("x")})

    def use(read_only: bool) -> None:
        with Project.open(folder / "in", read_only=read_only) as project:
            first: MetaPTError | None = None
            for step in look(project):
                try:
                    step()
                except MetaPTError as error:
                    first = first or error
            if first is not None:
                raise first

    yield lambda: use(True)
    yield lambda: use(False)


# Parts of the window --------------------------------------------------------------------------------------------------


def _label_files(folder: Path) -> st.SearchStrategy[Input]:
    wholes = [
        b"row,label\n1,1\n2,3\n",
        b'text,label\n"The soup number 1 was cold, really",1\n',
        "row,label\n²,1\n".encode(),
    ]
    words = [b"\xc2\xb2", b"9" * 5000, b"\xd9\xa3", b",,,", b'"' + b"x" * 200_000]
    content = mutations.mutated_bytes(wholes) | mutations.mutated_bytes(wholes, words)
    seeds.make_corpus(folder / "corpus")
    return _plain(content.map(lambda found: {"labels.csv": found, **_corpus_beside(str(folder))}))


@functools.cache
def _corpus_beside(folder: str) -> Files:
    return {f"corpus/{name}": content for name, content in seeds.read_folder(Path(folder) / "corpus").items()}


def _read_labels(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.corpus.store import Corpus
    from metapt_gui.label_files import read_labels
    from metapt_gui.models.texts import read_texts

    def use() -> None:
        texts = read_texts(Corpus.open(folder / "in" / "corpus"))
        found = read_labels(folder / "in" / "labels.csv", texts, ("1", "2", "3"))
        assert all(0 <= row < 12 for row in found.labels)

    yield use


def _run_folders(folder: Path) -> st.SearchStrategy[Input]:
    import pyarrow as pa
    from made_runs import figures

    events = b'{"event": "Metric", "name": "loss", "step": 1, "value": 0.5, "group": "a"}\n' * 3
    train = {"stage": "meta-train", "corpus": "corpus", "clusters": "groups", "settings": {"steps": 10}}
    tune = {"stage": "tune", "corpus": "corpus", "classes": ["1", "2"], "labels": {"0": "1"}, "tune": {}}
    predictions = {"run": ["PT 0", "PT 0"], "row": [0, 1], "label": ["1", "2"], "prediction": ["2", "2"]}
    results = {
        "summary": {"PT": figures()},
        "best": "PT 0",
        "measured_on": "test",
        "evaluations": {},
        "draws": {"0": {"training": [0], "validation": [1]}},
    }
    files = {
        "result.json": mutations.json_bytes({"event": "Finished", "outcome": "completed", "summary": {"steps": 5}}),
        "job.json": mutations.json_bytes(tune),
        "events.jsonl": events,
        "results.json": mutations.json_bytes(results),
        "predictions.parquet": seeds.parquet(pa.table({**predictions, "confidence": [0.5, 0.6]})),
    }
    parts = {name: _json_of(files, name) for name in ("result.json", "results.json")}
    parts["job.json"] = mutations.mutated_json([tune, train])
    parts["events.jsonl"] = mutations.mutated_bytes([events]) | mutations.mutated_json(
        [{"event": "Metric", "name": "loss", "step": 1, "value": 0.5, "group": "a"}]
    )
    wholes = [files["predictions.parquet"], *seeds.parquet_files()[:6]]
    parts["predictions.parquet"] = mutations.mutated_bytes(wholes[:1]) | st.sampled_from(wholes)
    seeds.make_corpus(folder / "corpus")
    beside = _corpus_beside(str(folder))
    return _plain(mutations.mutated_folder(files, parts).map(lambda found: {**found, **beside}))


def _read_run(folder: Path, options: dict[str, Any]) -> Iterator[Step]:
    from engine.corpus.store import Corpus
    from metapt_gui.result_files import read_results
    from metapt_gui.run_files import describe_runs, read_curves

    run = folder / "in"
    yield lambda: describe_runs([run], {})
    yield lambda: read_curves(run)
    yield lambda: read_results(run, None, Corpus.open(run / "corpus"))
    yield lambda: read_results(run, run, Corpus.open(run / "corpus"))


TARGETS: dict[str, Target] = {
    **TEXT_TARGETS,
    "prompt file": Target(_prompt_files, _read_prompt, 0.005),
    "probe file": Target(_probe_files, _read_probe, 0.005),
    "PEFT folder": Target(_peft_folders, _read_prompt, 0.005),
    "project": Target(_projects, _read_project, 0.02),
    "corpus folder": Target(_corpus_folders, _read_corpus, 0.005),
    "clustering folder": Target(_cluster_folders, _read_clusters, 0.005),
    "checkpoint": Target(_checkpoints, _read_checkpoint, 0.005),
    "pipeline TOML": Target(_toml(seeds.PIPELINE), _read_pipeline, 0.005),
    "pre-training TOML": Target(_toml(seeds.PRETRAINING), _read_pretraining, 0.005),
    "backbone folder": Target(_backbones, _read_backbone, 0.1),
    "label file": Target(_label_files, _read_labels, 0.005, needs_qt=True),
    "run folder": Target(_run_folders, _read_run, 0.005, needs_qt=True),
}
