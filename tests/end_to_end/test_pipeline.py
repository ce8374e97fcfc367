"""The whole way on the sample project with a tiny backbone: run, interrupt, resume, export; also from a wheel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.csv as pacsv
import pytest
from commands import ENVIRONMENT, metapt, quick
from forking import ROOT

from engine.storage import read_json
from resources import BUNDLED_BACKBONE

PIPELINE = """
compare = ["PPT", "PT", "linear probe"]
[source]
files = ["{sample}/reviews.csv"]
text_column = "review"
label_column = "stars"
maximum_rows = 300
balance = true
[target]
files = ["{sample}/support.csv"]
text_column = "message"
label_column = "mood"
[cluster]
clusters = 4
projection = "pca"
[backbone]
backbone = "{backbone}"
device = "cpu"
precision = "float32"
threads = 1
[prompt]
soft_tokens = 4
text_tokens = 24
[meta_train]
initialisation = "vocabulary"
steps = 12
shots = 2
validate_every = 4
validation_rows = 4
checkpoint_every = 5
alpha = 1.0
beta = 0.3
[pretrain]
steps = 4
validate_every = 2
validation_rows = 8
[tune]
training_rows = 8
validation_rows = 8
test_rows = 20
seeds = 2
epochs = 2
"""


def pipeline(folder: Path, backbone: Path, root: Path = ROOT) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(PIPELINE.format(sample=root / "resources" / "sample", backbone=backbone))
    return path


@pytest.fixture(scope="module")
def finished(tiny_t5, tmp_path_factory) -> Path:
    """A folder with a pipeline that ran through without a stop."""
    folder = tmp_path_factory.mktemp("pipeline")
    answer = metapt("run", pipeline(folder, tiny_t5), cwd=folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for method in ("MetaPT", "PPT", "PT", "Sentence-BERT probe", "Sentence-BERT probe + source"):
        assert method in answer.stdout
    return folder


def test_the_pipeline_leaves_a_prompt_and_a_comparison(finished):
    project = finished / "pipeline.metapt"
    summary = read_json(project / "comparison.json")
    probes = ["Sentence-BERT probe", "Sentence-BERT probe + source"]
    assert list(summary) == ["MetaPT", "PPT", "PT", "backbone alone", *probes]
    assert all(0 <= figures["accuracy_mean"] <= 1 for figures in summary.values())
    roles = read_json(project / "project.json")["roles"]
    assert (project / roles["tune"] / "prompt.safetensors").exists()
    events = (project / roles["meta-train"] / "events.jsonl").read_text().splitlines()
    assert sum('"query loss"' in line for line in events) == 12


def test_running_again_passes_over_what_is_done(finished, fork_server):
    answer = quick("run", "pipeline.toml", cwd=finished)
    assert answer.returncode == 0
    assert answer.stdout.count("done before") == 7
    told = quick("run", "pipeline.toml", "--json", cwd=finished).stdout.splitlines()
    summaries = {event["role"]: event["summary"] for event in map(json.loads, told) if event["event"] == "Finished"}
    assert all(summary["reused"] for summary in summaries.values())
    assert summaries["source"]["kept"] == 300
    assert list(summaries["tune"]["summary"]) == ["MetaPT", "PPT", "PT", "backbone alone"]


def test_the_prompt_classifies_and_is_exported(finished, tiny_t5, fork_server):
    project = ["--project", "pipeline.metapt"]
    target = ["--backbone", tiny_t5, "--device", "cpu"]
    said = quick("predict", "--text", "Thank you!", *target, *project, "--json", cwd=finished)
    assert set(json.loads(said.stdout)["probabilities"]) == {"happy", "unhappy"}
    (finished / "new.csv").write_text('text\n"=SUM(A1) is what you sent me"\nGreat help\nGreat help\n')
    answer = quick("predict", "new.csv", "-o", "out.csv", *target, *project, cwd=finished)
    assert answer.returncode == 0, answer.stderr
    table = pacsv.read_csv(finished / "out.csv")
    assert table.column("text").to_pylist() == ["'=SUM(A1) is what you sent me", "Great help", "Great help"]
    assert table.column("row").to_pylist() == [2, 3, 4]
    assert set(table.column("prediction").to_pylist()) <= {"happy", "unhappy"}
    again = quick("predict", "new.csv", "-o", "out.jsonl", *target, *project, cwd=finished)
    assert again.returncode == 0
    records = [json.loads(line) for line in (finished / "out.jsonl").read_text().splitlines()]
    assert abs(records[0]["p(happy)"] + records[0]["p(unhappy)"] - 1) < 1e-4
    assert quick("export", "mine.safetensors", *project, cwd=finished).returncode == 0
    assert quick("export", "peft", "--peft", *project, cwd=finished).returncode == 0
    moved = quick("predict", "--text", "Thank you!", "--prompt", "peft", *target, "--json", cwd=finished)
    assert json.loads(moved.stdout) == json.loads(said.stdout)
    alone = quick("predict", "new.csv", "-o", "alone.jsonl", "--prompt", "mine.safetensors", *target, cwd=finished)
    assert alone.returncode == 0, alone.stderr
    assert (finished / "alone.jsonl").read_bytes() == (finished / "out.jsonl").read_bytes()
    assert not (finished / "project.metapt").exists(), "an exported prompt needs no project"
    measured = quick("evaluate", *target, *project, cwd=finished)
    assert "macro-F1" in measured.stdout, measured.stderr
    wrong = quick("predict", "new.csv", "-o", "out.docx", *target, *project, cwd=finished)
    assert wrong.returncode == 2
    assert ".docx" in wrong.stderr


def test_interrupted_and_resumed_it_comes_to_the_same(finished, tiny_t5, fork_server, tmp_path):
    path = pipeline(tmp_path, tiny_t5)
    command = [sys.executable, "-m", "engine", "run", str(path), "--json"]
    options = {"cwd": tmp_path, "env": {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["role"] == "meta-train" and event.get("name") == "query loss" and event["step"] == 6:
                process.send_signal(signal.SIGINT)
                break
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "resume" in errors
    assert '"outcome": "stopped"' in rest
    again = quick("run", path, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    runs = ("0004-meta-train", "0005-pretrain-prompt", "0006-tune")
    for run in runs:
        found, expected = (
            (folder / "pipeline.metapt" / "runs" / run / "prompt.safetensors").read_bytes()
            for folder in (tmp_path, finished)
        )
        assert found == expected, run
    assert read_json(tmp_path / "pipeline.metapt" / "comparison.json") == read_json(
        finished / "pipeline.metapt" / "comparison.json"
    )


def test_from_an_installed_wheel_outside_the_checkout(tiny_t5, tmp_path):
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("metapt-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        assert "resources/sample/pipeline.toml" in archive.namelist()
        assert f"resources/backbones/{BUNDLED_BACKBONE}/model.safetensors" in archive.namelist()
    where = metapt("--version", cwd=tmp_path, root=site)
    assert str(site) in where.stdout, where.stderr
    answer = metapt("run", pipeline(tmp_path, tiny_t5, site), cwd=tmp_path, root=site)
    assert answer.returncode == 0, answer.stderr
    assert "Sentence-BERT probe" in answer.stdout
    bundled = metapt("template", cwd=tmp_path, root=site)
    assert "[meta_train]" in bundled.stdout


def test_doctor_finds_everything():
    answer = metapt("doctor", cwd=Path.home())
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for subject in ("torch", "Bundled backbone", "all-MiniLM-L6-v2", "Device cpu", "Folder for logs"):
        assert subject in answer.stdout
