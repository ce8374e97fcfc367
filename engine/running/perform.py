"""Run one job into its folder: record its events, turn every failure into a sentence.

A run is its folder: ``job.json`` (what was asked), ``events.jsonl`` (what happened), ``result.json`` (how it ended) and
whatever the stage writes. `perform` is the only place where a stage is started, in the engine process and in tests
alike.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from engine.errors import StorageError, storage_errors
from engine.events import Event, Finished, Points, Progress, to_json
from engine.running.failures import failed
from engine.running.jobs import Job
from engine.running.session import Session
from engine.stage import StopToken
from engine.storage import write_json


def perform(job: Job, folder: Path, session: Session, stop: StopToken) -> Iterator[Event]:
    """Yield the events of ``job``; the last one is `Finished` or `Failed`.

    ``events.jsonl`` holds all but `Points` (their result is a file of its own) and `Progress` (it is for the moment).
    """
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "job.json", job.document())
        (folder / "result.json").unlink(missing_ok=True)
        with storage_errors(folder), open(folder / "events.jsonl", "a", encoding="utf-8") as log:
            for event in job.run(session, folder, stop):
                if not isinstance(event, (Points, Progress)):
                    log.write(to_json(event) + "\n")
                    log.flush()
                if isinstance(event, Finished):
                    write_json(folder / "result.json", json.loads(to_json(event)))
                yield event
    except Exception as error:
        event = failed(error, folder)
        with contextlib.suppress(StorageError):  # the folder may be what failed; the event still reaches the person
            write_json(folder / "result.json", json.loads(to_json(event)))
        yield event
