"""Paths that leave the folder, and things that are no files: refused, or harmless."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
from hostile import seeds
from hostile.watch import time_limit

from engine.corpus.importing import import_corpus
from engine.corpus.preview import preview_file
from engine.corpus.sources import Source, find_sources
from engine.corpus.store import Corpus
from engine.errors import BackboneError, DataError, MetaPTError, ProjectError, StorageError
from engine.jobs import ClusterJob
from engine.project import Project
from engine.settings import BackboneSettings, ImportSettings
from engine.stage import StopToken, result_of

NAMES = ["../../up.csv", "/etc/up.csv", "..\\..\\up.csv", "C:\\up.csv", "a/../../../up.csv", "up.csv"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


def read(path: Path, folder: Path, **options: object) -> Corpus:
    list(import_corpus([path], folder, ImportSettings(**options), stop=StopToken()))
    return Corpus.open(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_member_of_an_archive_is_never_written_anywhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    archive = tmp_path / "in" / "deep" / "a.zip"
    archive.write_bytes(seeds.zipped([(name, b"text,label\nsoup and bread,1\n")]))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert read(archive, tmp_path / "out").texts == ["soup and bread"]
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.parent == tmp_path / "out" for path in written)


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the file system takes Unicode names only")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.csv"))
    path.write_bytes(b"text\nsoup and bread\n")
    assert read(path, tmp_path / "out").rows == 1
    assert Source(path).name == "\ufffd\ufffd.csv"


@posix
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_never_ends_is_not_read(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "pipe.csv"
        os.mkfifo(path)
    for reader in (lambda: preview_file(str(path), ImportSettings()), lambda: read(path, tmp_path / "out")):
        with time_limit(5), pytest.raises(DataError, match="not a file"):
            reader()


@posix
def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nsoup and bread\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.csv").symlink_to(tmp_path / "self.csv")
    with time_limit(5):
        assert any(source.path.name == "a.csv" for source in find_sources([tmp_path]))
        with pytest.raises(MetaPTError):
            find_sources([tmp_path / "self.csv"])


@pytest.mark.parametrize("name", ["~nobody-of-this-name/a.csv", "a\x00b.csv", "", "**/\x00", "[", "x" * 5000])
def test_names_that_are_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetaPTError):
        find_sources([name])


# Projects -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return seeds.make_project(tmp_path / "a.metapt")


def change(project: Path, **changes: object) -> None:
    manifest = json.loads((project / "project.json").read_text())
    (project / "project.json").write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    "place",
    ["../../etc", "/etc", "runs/../../b", "runs/0001-import/../../../x", "..", "a\x00b", "\ud800", "", 5, None, []],
)
def test_a_role_never_leaves_the_project(project: Path, place: object) -> None:
    change(project, roles={"source": place})
    try:
        with Project.open(project) as opened:
            folder = opened.role("source")
    except ProjectError:
        return
    assert folder.resolve().is_relative_to(project.resolve())


@posix
def test_a_run_that_is_a_link_out_of_the_project_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (project / "runs" / "0003-import").symlink_to(tmp_path / "outside")
    change(project, roles={"source": "runs/0003-import"})
    with Project.open(project) as opened, pytest.raises(ProjectError, match="outside the project"):
        opened.role("source")


@posix
def test_no_job_runs_in_a_link_out_of_the_project(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    job = ClusterJob(corpus="c", cache="")
    (outside / "job.json").write_text(json.dumps(job.document()))
    (project / "runs" / "0003-cluster").symlink_to(outside)
    with Project.open(project) as opened:
        folder, _ = opened.run_folder(job)
    assert folder.resolve().is_relative_to(project.resolve())


@posix
def test_a_lock_that_is_a_link_does_not_empty_what_it_points_to(project: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (project / "project.lock").symlink_to(tmp_path / "thesis.txt")
    with contextlib.suppress(MetaPTError):
        Project.open(project).close()
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


# Backbones ------------------------------------------------------------------------------------------------------------


def load(folder: Path) -> object:
    from engine.backbones.load import load_backbone

    return result_of(load_backbone(BackboneSettings(backbone=str(folder), device="cpu", offline=True)))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeds.make_backbone(tmp_path_factory.mktemp("hostile-t5"))


@pytest.fixture
def backbone(t5: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "t5"
    for name, content in seeds.read_folder(t5).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_an_adapter_does_not_lead_elsewhere(backbone: Path, t5: Path) -> None:
    (backbone / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(t5)}))
    with pytest.raises(BackboneError, match="an adapter, not a whole model"):
        load(backbone)


@pytest.mark.parametrize("part", ["../other/model.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_the_list_of_weights_does_not_leave_the_folder(backbone: Path, part: str) -> None:
    index = {"metadata": {}, "weight_map": {"shared.weight": part}}
    (backbone / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BackboneError, match="outside the folder"):
        load(backbone)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_layers": 10**9},
        {"d_model": 10**6},
        {"vocab_size": 10**12},
        {"num_heads": 10**9},
        {"d_ff": -1},
        {"num_decoder_layers": True},
        {"relative_attention_num_buckets": 10**12},
    ],
    ids=str,
)
def test_a_configuration_that_asks_for_more_than_there_is(backbone: Path, changes: dict[str, int]) -> None:
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | changes))
    with time_limit(5), pytest.raises(BackboneError):
        load(backbone)


def test_a_backbone_that_does_not_fit_is_refused(backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.backbones.load.available_memory", lambda: 1000)
    with pytest.raises(BackboneError, match="GB of memory"):
        load(backbone)


def test_pickled_weights_are_not_read(backbone: Path) -> None:
    (backbone / "model.safetensors").rename(backbone / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="can run code"):
        load(backbone)


def test_code_of_a_models_own_is_not_run(backbone: Path, tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'trapped')!r}, 'w')"
    (backbone / "modeling_t5.py").write_text(trap)
    for name in ("config.json", "tokenizer_config.json"):
        document = json.loads((backbone / name).read_text())
        own = {"AutoConfig": "modeling_t5.A", "AutoTokenizer": ["modeling_t5.A", None], "AutoModel": "modeling_t5.A"}
        (backbone / name).write_text(json.dumps(document | {"auto_map": own}))
    with contextlib.suppress(BackboneError):
        load(backbone)
    assert not (tmp_path / "trapped").exists()


def test_a_damaged_manifest_of_the_corpus_names_no_other_file(tmp_path: Path) -> None:
    corpus = seeds.make_corpus(tmp_path / "corpus")
    (corpus / "corpus.json").write_text(json.dumps({"classes": [], "rows": "../../x", "content_hash": "", "words": {}}))
    with pytest.raises(StorageError, match="damaged"):
        Corpus.open(corpus)
