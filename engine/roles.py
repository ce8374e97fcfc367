"""What a run of a project may be used for, and the command that makes it."""

from __future__ import annotations

IMPORTED = ("source", "open-text", "target", "test")
"""The kinds of texts that are imported; the first one by default."""
LEARNED = {"MetaPT": "meta-train", "PPT": "pretrain-prompt"}
"""Way to learn a prompt -> role of the run that did."""
MADE_BY = {
    "source": "metapt import FILE",
    **{role: f"metapt import FILE --as {role}" for role in IMPORTED[1:]},
    "annotated": "metapt annotate",
    "clusters": "metapt cluster",
    "meta-train": "metapt meta-train",
    "pretrain-prompt": "metapt pretrain-prompt",
    "tune": "metapt tune",
}
"""Role -> command; the window's pages make the same."""
