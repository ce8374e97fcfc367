"""What bad input gets: one clear sentence (what, where, what to do), an exit code, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import quick, refused

pytestmark = pytest.mark.usefixtures("fork_server")
REVIEWS = [
    "awful cold soup",
    "weak slow service",
    "plain usual table",
    "nice warm fresh bread",
    "superb lovely best evening",
]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    rows = [f"{REVIEWS[i % 5]} number {i},{i % 5 + 1}" for i in range(80)]
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def project(reviews: Path) -> Path:
    answer = quick("import", "reviews.csv", "--text-column", "review", "--label-column", "stars", cwd=reviews)
    assert answer.returncode == 0, answer.stderr
    return reviews


def test_wrong_options(reviews):
    refused(quick("import", "reviews.csv", "--seed", "-1", cwd=reviews), 2, "'seed'", "-1")
    refused(quick("import", "reviews.csv", "--label-map", "5", cwd=reviews), 2, "key=value")
    refused(quick("import", "reviews.csv", "--as", "soup", cwd=reviews), 2, "soup")
    assert not list(reviews.glob("project.metapt/runs/*"))


def test_data_that_cannot_be_used(reviews):
    refused(quick("import", "nothing.csv", cwd=reviews), 6, "nothing.csv")
    refused(quick("import", "reviews.csv", "--text-column", "revue", cwd=reviews), 3, "revue", "review")
    (reviews / "empty.csv").write_text("")
    refused(quick("import", "empty.csv", cwd=reviews), 3, "empty.csv")
    (reviews / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    refused(quick("import", "cut.parquet", cwd=reviews), 6, "cut.parquet")
    assert not (reviews / "project.metapt").exists(), "an import that fails leaves no project behind"
    done = quick("import", "reviews.csv", "--text-column", "review", "--label-column", "stars", cwd=reviews)
    assert done.returncode == 0
    refused(quick("import", "cut.parquet", cwd=reviews), 6, "cut.parquet")
    assert list(reviews.glob("project.metapt/runs/*/corpus.parquet"))


def test_steps_that_are_not_ready(project):
    refused(quick("meta-train", cwd=project), 6, "no 'clusters' yet")
    refused(quick("tune", cwd=project), 6, "no 'target' yet")
    refused(quick("cluster", "--clusters", "90", "--projection", "none", cwd=project), 3, "90", "80")


def test_a_cluster_command_and_what_training_refuses(project, tiny_t5, other_tiny_t5):
    answer = quick("cluster", "--method", "random", "--clusters", "3", "--projection", "none", cwd=project)
    assert answer.returncode == 0, answer.stderr
    small = ["--soft-tokens", 4, "--text-tokens", 32, "--steps", 2, "--validate-every", 1, "--device", "cpu"]
    t5 = ["--backbone", tiny_t5]
    refused(quick("meta-train", *small, *t5, "--shots", "50", cwd=project), 3, "50 shots")
    refused(quick("meta-train", *small, *t5, "--word", "1=good", cwd=project), 3, "no word for 2")
    same = [part for number in range(1, 6) for part in ("--word", f"{number}=good")]
    refused(quick("meta-train", *small, *t5, *same, cwd=project), 3, "share the label word 'good'")
    odd = [
        part
        for number in range(1, 6)
        for part in ("--word", f"{number}={'龘' if number == 3 else 'abcde'[number - 1]}")
    ]
    refused(quick("meta-train", *small, *t5, *odd, cwd=project), 3, "does not know the label word '龘'")
    refused(quick("meta-train", *small[:-2], *t5, "--device", "cuda:9", cwd=project), 5, "cuda:9")
    refused(quick("meta-train", *small, "--backbone", "google-t5/t5-base", cwd=project), 4, "network", "t5-base")
    refused(quick("meta-train", *small, "--backbone", "./nowhere", cwd=project), 4, "no such backbone folder")
    prompts = project / "project.metapt" / "runs"
    assert not list(prompts.glob("*/prompt.safetensors"))
    refused(quick("meta-train", *small, *t5, "--beta", "1e30", "--steps", 20, cwd=project), 7, "no longer a number")
    (last_good,) = prompts.glob("*/prompt.safetensors")
    last_good.unlink()

    done = quick("meta-train", *small, *t5, cwd=project)
    assert done.returncode == 0, done.stderr
    (prompt,) = project.glob("project.metapt/runs/*/prompt.safetensors")
    question = ["predict", "--text", "soup", "--prompt", prompt, "--device", "cpu"]
    refused(quick(*question, "--backbone", other_tiny_t5, cwd=project), 4, "made for the backbone")
    said = quick(*question, *t5, "--json", cwd=project)
    assert abs(sum(json.loads(said.stdout)["probabilities"].values()) - 1) < 1e-4
    exported = quick("export", "mine.safetensors", cwd=project)
    assert exported.returncode == 0, exported.stderr
    prompt.write_bytes(prompt.read_bytes()[:100])
    refused(quick(*question, *t5, cwd=project), 4, "damaged")
    checkpoint = prompt.parent / "checkpoint.safetensors"
    checkpoint.write_bytes(b"junk")
    (prompt.parent / "result.json").unlink()
    refused(quick("meta-train", *small, *t5, cwd=project), 6, "checkpoint is damaged")


def test_one_class_only(tmp_path, tiny_t5):
    rows = "\n".join(f"soup number {i},5" for i in range(80))
    (tmp_path / "one.csv").write_text(f"review,stars\n{rows}\n")
    done = quick("import", "one.csv", "--text-column", "review", "--label-column", "stars", cwd=tmp_path)
    assert done.returncode == 0
    quick("cluster", "--method", "random", "--clusters", "2", "--projection", "none", cwd=tmp_path)
    refused(quick("meta-train", "--backbone", tiny_t5, "--device", "cpu", cwd=tmp_path), 3, "only one class")


def test_a_project_that_is_open_elsewhere(project):
    from engine.project import Project

    with Project.open(project / "project.metapt"):
        refused(quick("import", "reviews.csv", cwd=project), 6, "open in another window")


def test_a_pipeline_reads_all_files_before_it_computes(reviews):
    (reviews / "one.csv").write_text("review,stars\nsoup,5\ntea,5\n")
    (reviews / "other.csv").write_text("review,stars\nsoup,6\ntea,5\n")
    columns = 'text_column = "review"\nlabel_column = "stars"\n'
    for source, target, test, code, words in (
        ("one.csv", "reviews.csv", "reviews.csv", 3, ["source", "only one class"]),
        ("reviews.csv", "one.csv", "one.csv", 3, ["target", "only one class"]),
        ("reviews.csv", "nothing.csv", "reviews.csv", 6, ["nothing.csv"]),
        ("reviews.csv", "reviews.csv", "nothing.csv", 6, ["nothing.csv"]),
        ("reviews.csv", "reviews.csv", "other.csv", 3, ["test corpus", "6"]),
    ):
        sections = {"source": source, "target": target, "test": test}
        parts = [f'[{name}]\nfiles = ["{file}"]\n{columns}' for name, file in sections.items()]
        (reviews / "a.toml").write_text('project = "a.metapt"\n' + "".join(parts))
        refused(quick("run", "a.toml", cwd=reviews), code, *words)
        assert not list(reviews.glob("a.metapt/runs/*-cluster"))


def test_a_pipeline_file_with_a_wrong_setting(tmp_path):
    (tmp_path / "a.toml").write_text('[source]\nfiles = ["a.csv"]\n[target]\nfiles = ["{data}/b.csv"]\n')
    answer = quick("run", "a.toml", cwd=tmp_path)
    refused(answer, 2, "data folder", "METAPT_DATA")
    (tmp_path / "a.toml").write_text(
        '[source]\nfiles = ["a.csv"]\n[target]\nfiles = ["b.csv"]\n[meta_train]\nalhpa = 1\n'
    )
    refused(quick("run", "a.toml", cwd=tmp_path), 2, "meta_train.alhpa")
    (tmp_path / "a.toml").write_text("[source\n")
    refused(quick("run", "a.toml", cwd=tmp_path), 2, "TOML")
