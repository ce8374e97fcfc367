"""Run one job into its folder: record its events, turn every failure into a sentence.

A run is its folder: ``job.json`` (what was asked), ``events.jsonl`` (what happened), ``result.json`` (how it ended) and
whatever the stage writes. `perform` is the only place where a stage is started, in the engine process and in tests
alike.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from engine.backbones.hub import STAGE as DOWNLOAD
from engine.errors import StorageError, storage_errors
from engine.events import Checkpointed, Event, Finished, Points, Progress, to_json
from engine.jobs import Job
from engine.jobs.session import Session
from engine.running.failures import failed
from engine.stage import Stage, Stopped, StopToken
from engine.storage import remove_leftovers, write_json


def perform(job: Job, folder: Path, session: Session, stop: StopToken) -> Iterator[Event]:
    """Yield the events of ``job``; the last one is `Finished` or `Failed`.

    ``events.jsonl`` holds all but `Points` (their result is a file of its own) and `Progress` (it is for the moment).
    """
    step: int | None = None
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)  # a run that goes on keeps what it had until it ends
        remove_leftovers(folder)
        write_json(folder / "job.json", job.document())
        with storage_errors(folder), open(folder / "events.jsonl", "ab") as log:
            log.write(_line_end(folder / "events.jsonl"))
            for event in _run(job, session, folder, stop):
                if not isinstance(event, (Points, Progress)):
                    log.write(to_json(event).encode() + b"\n")
                    log.flush()
                if isinstance(event, Checkpointed):
                    step = event.step
                if isinstance(event, Finished):
                    write_json(folder / "result.json", json.loads(to_json(event)))
                yield event
    except Exception as error:
        event = failed(error, folder, step=step)
        with contextlib.suppress(StorageError):  # the folder may be what failed; the event still reaches the person
            write_json(folder / "result.json", json.loads(to_json(event)))
        yield event


def _run(job: Job, session: Session, folder: Path, stop: StopToken) -> Stage:
    try:
        for event in job.run(session, folder, stop):
            yield event
            if stop.requested and isinstance(event, Progress) and event.stage == DOWNLOAD:
                raise Stopped  # a download does not know of the job that waits for it
    except Stopped:
        yield Finished(str(folder), "stopped")


def _line_end(log: Path) -> bytes:
    """Return what ends the last line of ``log``: a process that was killed may have left half of it."""
    with open(log, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 1))
        return b"" if stream.read() in (b"", b"\n") else b"\n"
