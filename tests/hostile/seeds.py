"""Small valid files of every kind that MetaPT reads; the mutations start from them."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile.mutations import Files

ROWS = [(f"The soup number {i} was cold, <b>really</b>", str(i % 3 + 1)) for i in range(12)]
RECORDS = [{"review": text, "stars": int(label)} for text, label in ROWS]


def csv_files() -> list[bytes]:
    """CSV as people have it: plain, quoted, semicolons, with line ends in cells, in other encodings."""
    plain = "review,stars\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS)
    lines = 'id;text;mood\r\n1;"two\r\nlines";gut\r\n2;"a ""word""";schlecht\r\n3;größer;gut\r\n'
    return [
        plain.encode(),
        lines.encode("cp1252"),
        lines.encode("utf-16"),
        ("\ufeff" + lines).encode(),
        b"text\nsoup\n",
    ]


def tsv_files() -> list[bytes]:
    """Tab-separated values."""
    return [("review\tstars\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)).encode()]


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def odd_tables() -> list[pa.Table]:
    """Tables whose columns are of kinds that no text should have."""
    bad_text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 4], np.int32)), pa.py_buffer(b"\xff\xfeok")]
    )
    columns: list[Any] = [
        bad_text,
        pa.array([b"\xff\x00", b"soup"], pa.binary()),
        pa.array([None, None], pa.null()),
        pa.array([None, None], pa.string()),
        pa.array([2**62, -(2**62)], pa.int64()).cast(pa.timestamp("s")),
        pa.array([2**62, 0], pa.int64()).cast(pa.timestamp("ns", "UTC")),
        pa.array([0, 1], pa.int64()).cast(pa.timestamp("us", "Nowhere/Land")),
        pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()),
        pa.array([86_399_999, 0], pa.int32()).cast(pa.time32("ms")),
        pa.array([2**62, 0], pa.int64()).cast(pa.duration("s")),
        pa.array([decimal.Decimal("1e30"), None], pa.decimal128(38, 2)),
        pa.array([["a"], None], pa.list_(pa.string())),
        pa.array([{"a": 1}, None], pa.struct([("a", pa.int64())])),
        pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([float("nan"), float("inf")]),
        pa.array([np.float16(1), np.float16("nan")], pa.float16()),
        pa.array([True, None]),
        pa.array([datetime.datetime(1, 1, 1), None], pa.timestamp("us")),
        pa.array(["soup" * 10, "tea" * 10], pa.large_string()),
    ]
    odd = [pa.table({"value": column, "stars": ["1", "2"]}) for column in columns]
    odd += [pa.table({"review": ["some text", "more text"], "stars": column}) for column in columns]
    odd.append(pa.Table.from_arrays([pa.array(["x y z"]), pa.array(["p q r"])], names=["same", "same"]))
    odd.append(pa.table({"": ["some text"], " ": ["other"]}))
    odd.append(pa.Table.from_batches([], pa.schema([])))
    odd.append(pa.table({"a": pa.array([], pa.string())}))
    return odd


def parquet_files() -> list[bytes]:
    """Parquet in several compressions, and of every odd kind of column."""
    table = pa.table({"review": [text for text, _ in ROWS], "stars": [int(label) for _, label in ROWS]})
    plain = [parquet(table, compression=name) for name in ("none", "snappy", "zstd", "gzip")]
    odd = []
    for one in odd_tables():
        try:
            odd.append(parquet(one))
        except pa.ArrowException:
            continue  # Parquet has no place for this kind
    return plain + odd


def xlsx_file(rows: list[tuple[Any, ...]] | None = None) -> bytes:
    """Return a workbook."""
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows or [("review", "stars"), *ROWS, ("=1+1", 3.5), (datetime.date(2020, 1, 1), None)]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


SHARED_STRINGS_OPEN = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
_SHARED_STRINGS = SHARED_STRINGS_OPEN + b"<si><t>a shared soup</t></si></sst>"
_SHARED = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"


def with_shared_strings(workbook: bytes, strings: bytes = _SHARED_STRINGS) -> bytes:
    """Return a workbook whose row 90 takes its text from a list of strings, as other programs than openpyxl do it."""
    parts = members(workbook)
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_SHARED}"/></Types>'
    row = b'<row r="90"><c r="A90" t="s"><v>0</v></c></row></sheetData>'
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(b"</Types>", override.encode())
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(b"</sheetData>", row)
    parts["xl/sharedStrings.xml"] = strings
    return zipped(list(parts.items()))


def members(archive: bytes) -> Files:
    """Return the members of an archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {item.filename: opened.read(item) for item in opened.infolist()}


def zipped(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Pack an archive; the same name may come twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


def json_documents() -> list[Any]:
    """What a JSON file of texts may be."""
    return [RECORDS[:4], {"data": RECORDS[:4], "version": 1}, ["one text", "another text"]]


def jsonl_file() -> bytes:
    """JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def packed(content: bytes) -> tuple[bytes, bytes]:
    """Return ``content`` as gzip and as zstd."""
    import zstandard

    return gzip.compress(content, 1), zstandard.ZstdCompressor().compress(content)


# Folders that MetaPT writes -------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Files:
    """Return relative path -> content of the files of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_corpus(folder: Path) -> Path:
    """Import a small CSV file."""
    from engine.corpus.importing import import_corpus
    from engine.settings import ImportSettings
    from engine.stage import StopToken

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.csv").write_bytes(csv_files()[0])
    list(import_corpus([folder / "a.csv"], folder, ImportSettings(label_column="stars"), stop=StopToken()))
    (folder / "a.csv").unlink()
    return folder


def make_clustering(folder: Path, corpus: Path) -> Path:
    """Group the texts of a corpus at random, with positions."""
    from engine.clustering.store import Cluster, save
    from engine.corpus.store import Corpus

    opened = Corpus.open(corpus)
    assignment = np.arange(opened.rows, dtype=np.int16) % 3
    assignment[0] = -1
    sizes = np.bincount(assignment[assignment >= 0], minlength=3).tolist()
    clusters = [Cluster(i, f"soup, {i}", size, {"1": size}, ("soup", "cold"), (i,)) for i, size in enumerate(sizes)]
    facts = {
        "method": "random",
        "settings": {"clusters": 3},
        "content_hash": opened.content_hash,
        "silhouette": 0.5,
        "label_nmi": None,
        "sweep": {"3": 0.1},
    }
    folder.mkdir(parents=True, exist_ok=True)
    save(folder, assignment, np.zeros((opened.rows, 2), np.float32), clusters, facts)
    return folder


def make_prompts(folder: Path) -> tuple[Path, Path]:
    """Write a prompt file and a PEFT folder; return both."""
    import torch

    from engine.backbones.load import BackboneIdentity
    from engine.prompting.prompt_file import Prompt, save_peft, save_prompt
    from engine.settings import PromptSettings

    prompt = Prompt(
        torch.zeros(4, 8),
        BackboneIdentity("t5-tiny", "", "0" * 16, "1" * 16, "2" * 16),
        {"1": "bad", "2": "good"},
        PromptSettings(soft_tokens=4),
        {"validation_accuracy": 0.5},
        {"seed": 0},
    )
    save_prompt(prompt, folder / "prompt.safetensors")
    save_peft(prompt, folder / "peft")
    return folder / "prompt.safetensors", folder / "peft"


def make_probe(folder: Path) -> Path:
    """Write a linear probe of three classes on vectors of eight numbers."""
    import numpy as np

    from engine.evaluation.probe_file import Probe, save_probe

    numbers = np.arange(24, dtype=np.float32).reshape(3, 8)
    probe = Probe(numbers, np.zeros(3, np.float32), ("bad", "so-so", "good"), "a model", "0" * 16, {"test": 0.5})
    save_probe(probe, folder / "probe.safetensors")
    return folder / "probe.safetensors"


def make_checkpoint(folder: Path) -> Path:
    """Write a checkpoint of an optimiser over one prompt, for the run ``run``."""
    import torch

    from engine.checkpoint import optimizer_tensors, save_checkpoint

    prompt = torch.zeros(2, 3, requires_grad=True)
    optimizer = torch.optim.AdamW([prompt])
    prompt.sum().backward()
    optimizer.step()
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder, {"prompt": prompt, **optimizer_tensors(optimizer)}, {"step": 3, "best": None}, "run")
    return folder


def make_backbone(folder: Path) -> Path:
    """Write a T5 that is as small as a T5 can be, with a vocabulary of its own."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    from engine.pretraining.vocabulary import train_vocabulary
    from resources import resource

    texts = [
        line
        for path in ("support.csv", "reviews.csv")
        for line in resource("sample", path).read_text("utf-8").split(".")
    ]
    tokenizer = train_vocabulary(texts, folder, pieces=200, words=[])
    torch.manual_seed(0)
    shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, **shape)).save_pretrained(
        folder
    )
    return folder


def make_project(folder: Path) -> Path:
    """Make a project with two runs, labels, edits and a note."""
    from engine.clustering.edits import ClusterEdit
    from engine.project import Project
    from engine.running.pipeline import import_job
    from engine.settings import ImportSettings
    from engine.storage import write_json

    with Project.create(folder) as project:
        run = project.folder / "runs" / "0001-import"
        make_corpus(run)
        (folder / "a.csv").write_bytes(csv_files()[0])
        write_json(
            run / "job.json", import_job([str(folder / "a.csv")], ImportSettings(label_column="stars")).document()
        )
        write_json(run / "result.json", {"event": "Finished", "path": str(run), "outcome": "completed", "summary": {}})
        groups = make_clustering(project.folder / "runs" / "0002-cluster", run)
        write_json(groups / "job.json", {"stage": "cluster", "corpus": str(run), "cache": "", "inputs": {}})
        for role, place in {"source": run, "target": run, "clusters": groups}.items():
            project.assign(role, place)
        project.set_value("task", {"classes": ["1", "2"]})
        project.set_label("hash", 1, "1")
        project.set_cluster_edits(groups, {1: ClusterEdit("soups", False)})
        project.set_note("0001-import", "first")
    (folder / "project.lock").unlink(missing_ok=True)
    return folder


PIPELINE = """
project = "pipeline.metapt"
compare = ["PT"]
[source]
files = ["a.csv", "{data}/b.csv"]
label_map = { "1" = "bad", "2" = "good" }
text_column = "review"
[target]
files = ["c.csv"]
maximum_rows = 100
[cluster]
clusters = 10
[meta_train]
alpha = 0.08
steps = 20_000
[tune]
seeds = 5
"""
PRETRAINING = """
files = ["a.csv"]
keep_out = ["a.csv"]
start = "folder"
pieces = 12_000
words = ["good"]
teacher_layers = [0, 3]
[[tasks]]
files = ["a.csv"]
words = { "1" = "bad" }
questions = ["Is it {mask}?"]
[[phases]]
steps = 10
spans = 1.0
"""
