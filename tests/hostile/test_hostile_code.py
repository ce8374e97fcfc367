"""Nothing of a file is run: no pickle, no code of a model's own, no SQL or program made of strings, no network code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for room in ("engine", "metapt_gui", "resources") for path in (ROOT / room).rglob("*.py"))

FORBIDDEN_IMPORTS = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "yaml",
    "pandas",
}
NETWORK_IMPORTS = {
    "socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "xmlrpc", "websockets",
    "asyncio", "socketserver", "telnetlib", "webbrowser", "sentry_sdk", "posthog",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "os.system", "os.popen", "yaml.load", "joblib.load",
    "pickle.load", "pickle.loads", "marshal.loads", "pd.read_pickle", "subprocess.getoutput", "torch.hub.load",
}  # fmt: skip
LOADERS = ("from_pretrained", "SentenceTransformer")
SQL = {"execute", "executemany", "executescript"}
ONLY_CONSTANTS = {"engine/migrations.py"}
"""Joins statements, all of them constants of the same module; looked at by a person."""


def name_of(node: ast.expr) -> str:
    """Return ``a.b.c`` for such an expression."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(tree: ast.AST, network: bool) -> Iterator[str]:
    """Yield what a module does that it must not."""
    constants = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_text(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                if name.split(".")[0] in FORBIDDEN_IMPORTS | (set() if network else NETWORK_IMPORTS):
                    yield f"{line}: imports {name}"
                if name in ("PySide6.QtNetwork", "PySide6.QtWebEngineCore", "PySide6.QtWebEngineWidgets"):
                    yield f"{line}: imports {name}"
        if not isinstance(node, ast.Call):
            continue
        called = name_of(node.func)
        if called in FORBIDDEN_CALLS:
            yield f"{line}: calls {called}"
        options = {item.arg: item.value for item in node.keywords}
        if "trust_remote_code" in options and not _is_false(options["trust_remote_code"]):
            yield f"{line}: trusts code from elsewhere"
        if "allow_pickle" in options and not _is_false(options["allow_pickle"]):
            yield f"{line}: allows pickles"
        if "shell" in options and not _is_false(options["shell"]):
            yield f"{line}: runs a shell"
        last = called.rsplit(".", 1)[-1]
        # For a class that is named, and for a tokenizer just made here, nothing of a folder decides which code runs.
        own = "T5ForConditional" in called or (called.startswith("AutoTokenizer") and "local_files_only" in options)
        if last in LOADERS and "trust_remote_code" not in options and not own:
            yield f"{line}: {called} does not say trust_remote_code=False"
        if last in SQL and node.args:
            statement = node.args[0]
            if not (_is_text(statement) or (isinstance(statement, ast.Name) and statement.id in constants)):
                yield f"{line}: SQL that is not a constant"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_runs_what_a_file_says(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = faults(ast.parse(path.read_text(encoding="utf-8")), name == "engine/backbones/hub.py")
    assert [fault for fault in found if not (name in ONLY_CONSTANTS and "SQL" in fault)] == []


def test_the_network_is_the_hubs_alone() -> None:
    """`huggingface_hub` is imported in one module, which is called where a person named a model of the hub."""
    users = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("huggingface_hub"))
        or (isinstance(node, ast.Import) and any(item.name.startswith("huggingface_hub") for item in node.names))
    ]  # fmt: skip
    assert set(users) == {"engine/backbones/hub.py"}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('a')",
        "eval('1')",
        "np.load('a', allow_pickle=True)",
        "AutoModel.from_pretrained('a', trust_remote_code=True)",
        "AutoModel.from_pretrained('a')",
        "AutoModel.from_pretrained('a', trust_remote_code=chosen)",
        "database.execute(f'SELECT {name}')",
        "database.execute('SELECT ' + name)",
        "database.execute('SELECT {}'.format(name))",
        "database.execute(statement)",
        "import urllib.request",
        "from PySide6.QtNetwork import QNetworkAccessManager",
        "subprocess.run('a', shell=True)",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert list(faults(ast.parse(code), network=False))


def test_the_search_passes() -> None:
    code = "A = 'SELECT 1'\ndatabase.execute(A)\ndatabase.execute('SELECT ?', (1,))\nnp.load('a', allow_pickle=False)"
    assert list(faults(ast.parse(code), network=False)) == []
