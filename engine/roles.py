"""What a run of a project may be used for, and the command that makes it."""

from __future__ import annotations

MADE_BY = {
    "source": "metapt import FILE",
    "open-text": "metapt import FILE --as open-text",
    "target": "metapt import FILE --as target",
    "test": "metapt import FILE --as test",
    "annotated": "metapt annotate",
    "clusters": "metapt cluster",
    "meta-train": "metapt meta-train",
    "pretrain-prompt": "metapt pretrain-prompt",
    "tune": "metapt tune",
}
"""Role -> command; the window's pages make the same."""
