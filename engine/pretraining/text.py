"""What a backbone is pre-trained on: texts without the sentences of test sets, passages and their vectors, tasks."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from engine.arrays import GrowingArray, save_array
from engine.checkpoint import fingerprint
from engine.corpus.contents import content_hashes
from engine.corpus.importing import import_corpus
from engine.corpus.store import SCHEMA, Corpus, describe
from engine.corpus.writing import writing_corpus
from engine.errors import DataError, storage_errors
from engine.events import Finished, Notice
from engine.pretraining.vocabulary import train_vocabulary
from engine.settings import ImportSettings, LabelledTask, PretrainBackboneSettings
from engine.stage import Part, ProgressMeter, StopToken
from engine.storage import read_json, replacing_files, write_json

STAGE = "pretrain-backbone"
VOCABULARY_TEXTS = 60_000
PREPARED_BY = (
    "files", "keep_out", "start", "pieces", "words", "lower_case", "passages", "teacher_layers", "tasks",
    "validation_rows", "seed",
)  # fmt: skip
"""Settings that the prepared text depends on; the others can be changed and it stays."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W_]+")


class Teacher(Protocol):
    """A sentence encoder that shows its layers (`engine.embedding.sentence_bert.SentenceEncoder` does)."""

    def layer_means(self, texts: Sequence[str], layers: Sequence[int]) -> np.ndarray: ...
    def word_vectors(self, pieces: Sequence[str]) -> np.ndarray: ...


def sentences(text: str) -> list[str]:
    """Split a text after full stops, question and exclamation marks, and at line breaks."""
    return [part for part in (piece.strip() for piece in _SENTENCE_END.split(text)) if part]


def sentence_keys(text: str) -> Iterator[str]:
    """Yield what identifies each sentence of at least two words, whatever its case, spaces and punctuation."""
    for sentence in re.split(r"[.!?\n]+", text.casefold()):
        words = _WORD.findall(sentence)
        if len(words) > 1:
            yield "".join(words)


def forbidden_sentences(files: Sequence[str], folder: Path, *, stop: StopToken) -> Part[frozenset[str]]:
    """Return the keys of all sentences in ``files``, texts in a column ``text``."""
    if not files:
        return frozenset()
    settings = ImportSettings(text_column="text", minimum_characters=1, drop_duplicates=False)
    held = yield from _imported(files, folder, settings, stop)
    return frozenset(key for text in held.texts for key in sentence_keys(text))


def gather_texts(
    files: Sequence[str], forbidden: frozenset[str], folder: Path, settings: ImportSettings, *, stop: StopToken
) -> Part[tuple[Corpus, int]]:
    """Import ``files`` into ``folder``, take out the rows that have a forbidden sentence, and tell how many.

    Raises
    ------
    DataError, StorageError
        As in `engine.corpus.importing.import_corpus`, and if no row is left.
    """
    corpus = yield from _imported(files, folder, settings, stop)
    clean_folder = folder / "clean"
    clean_folder.mkdir(exist_ok=True)
    kept, done = 0, 0
    meter = ProgressMeter(STAGE, corpus.rows, "rows")
    with writing_corpus(clean_folder, SCHEMA) as writer:
        for batch in corpus.batches(columns=SCHEMA.names):
            texts = batch.column("text").to_pylist()
            clean = [forbidden.isdisjoint(sentence_keys(text)) for text in texts]
            writer.write(batch.filter(pa.array(clean)))
            kept, done = kept + sum(clean), done + len(texts)
            yield meter.at(done, "Removing rows that share a sentence with a test set")
    if not kept:
        raise DataError("No text is left to train on", remedy="Give more files.")
    yield Notice(f"{corpus.rows - kept:,} of {corpus.rows:,} rows share a sentence with a test set and were removed")
    content = writer.content_hash
    return describe(clean_folder, corpus.classes, kept, content, corpus.words), corpus.rows - kept


def _imported(files: Sequence[str], folder: Path, settings: ImportSettings, stop: StopToken) -> Part[Corpus]:
    for event in import_corpus(files, folder, settings, stop=stop):
        if not isinstance(event, Finished):
            yield event
    return Corpus.open(folder)


@dataclass(frozen=True)
class Tokens:
    """Texts as tokens: text i is ``values[starts[i]:starts[i + 1]]``; reads like a sequence of arrays."""

    values: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> Tokens:
        """Return ``texts`` one after the other, uint16."""
        lengths = np.fromiter((len(text) for text in texts), np.int64, count=len(texts))
        values = np.fromiter(itertools.chain.from_iterable(texts), np.uint16, count=int(lengths.sum()))
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        return self.values[self.starts[number] : self.starts[number + 1]]

    def save(self, path: Path) -> None:
        """Write both arrays beside each other."""
        save_array(path.with_suffix(".values.npy"), self.values)
        save_array(path.with_suffix(".starts.npy"), self.starts)

    @classmethod
    def load(cls, path: Path) -> Tokens:
        """Read what `save` wrote."""
        return cls(np.load(path.with_suffix(".values.npy")), np.load(path.with_suffix(".starts.npy")))


def tokens_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, message: str) -> Part[Tokens]:
    """Return the tokens of each text, ``</s>`` at its end."""
    meter = ProgressMeter(STAGE, len(texts), "texts")
    found: list[list[int]] = []
    for start in range(0, len(texts), 2000):
        found += tokenizer(list(texts[start : start + 2000]), verbose=False).input_ids
        yield meter.at(len(found), message)
    return Tokens.of(found)


def draw_passages(texts: Sequence[str], count: int, *, seed: int) -> list[str]:
    """Return at most ``count`` different passages of one to three sentences, one a text and round."""
    rng = np.random.default_rng(seed)
    parts_of = [sentences(text) for text in texts]
    found: list[str] = []
    seen: set[str] = set()
    for _ in range(100):
        for row in rng.permutation(len(texts)):
            if len(found) == count:
                return found
            parts = parts_of[row]
            start = int(rng.integers(len(parts))) if parts else 0
            passage = " ".join(parts[start : start + 1 + int(rng.integers(3))])
            if 15 <= len(passage) <= 400 and passage not in seen:
                seen.add(passage)
                found.append(passage)
    return found


def passage_vectors(
    passages: Sequence[str], teacher: Teacher, layers: Sequence[int], path: Path, *, stop: StopToken
) -> Part[np.ndarray | None]:
    """Return the teacher's vectors, float16 [passages, d], from ``path`` as far as they are there.

    ``None`` if stopping was requested before the end; what is done then is kept in ``path``.
    """
    width, of = teacher.layer_means(passages[:1], layers).shape[1], fingerprint(list(passages), list(layers))
    with GrowingArray(path, (len(passages), width), "<f2", of=of) as found:
        meter = ProgressMeter(STAGE, len(passages), "texts", done=found.done)
        while found.done < len(passages) and not stop.requested:
            part = passages[found.done : found.done + 2000]
            found.write(found.done + np.arange(len(part)), teacher.layer_means(part, layers))
            yield meter.at(found.done, "Sentence-BERT's vectors")
    return np.load(path, mmap_mode="r") if found.done == len(passages) else None


@dataclass(frozen=True)
class PreparedText:
    """What a backbone is trained on.

    Attributes
    ----------
    tokenizer
        Its vocabulary.
    texts, validation
        All texts and the held-out ones, each with ``</s>`` at its end: ``values`` are the packed stream.
    passages, vectors
        Short texts and their vectors, float16 [passages, d]; both ``None`` where no phase asks for them.
    tasks
        Labelled texts, or ``None``.
    removed
        Rows that shared a sentence with a test set.
    """

    tokenizer: PreTrainedTokenizerBase
    texts: Tokens
    validation: Tokens
    passages: Tokens | None
    vectors: np.ndarray | None
    tasks: TaskTokens | None
    removed: int

    @property
    def fingerprint(self) -> str:
        """Changes with the texts."""
        counts = [len(part) if part is not None else 0 for part in (self.texts, self.passages, self.vectors)]
        return fingerprint(self.texts.values, [*counts, len(self.tasks.texts) if self.tasks else 0])


@dataclass(frozen=True)
class TaskTokens:
    """Labelled texts: each text, the number of its answer, the answers, and the questions that go with each answer."""

    texts: Tokens
    labels: np.ndarray
    answers: Tokens
    questions: list[Tokens]


def prepare_text(
    settings: PretrainBackboneSettings, folder: Path, *, teacher: Teacher, stop: StopToken
) -> Part[PreparedText | None]:
    """Read, clean and tokenise all texts, train the vocabulary, and ask the teacher for vectors; once for a folder.

    Returns ``None`` if stopping was requested. What is there already is not made again, unless a setting that it
    depends on or what a file holds has changed; a file that is not on this computer counts as unchanged, so that the
    folder can be carried to another one without its texts.

    Raises
    ------
    DataError, StorageError
        As in `gather_texts`, `engine.pretraining.vocabulary.train_vocabulary`, or if too few texts are left.
    """
    chosen = settings.model_dump(mode="json", include=set(PREPARED_BY), exclude_defaults=True)
    wanted = fingerprint(chosen)
    marker = folder / "prepared.json"
    before = read_json(marker) if marker.exists() else {}
    contents = yield from content_hashes(_names(settings), STAGE, stop=stop)  # before the files are read, not after it
    if contents is None:
        return None
    if before.get("settings") == wanted and _unchanged(contents, before.get("contents", {})):
        if absent := sum(found is None for found in contents.values()):
            yield Notice(
                f"{absent:,} of {len(contents):,} files of texts are not on this computer; what was prepared from them "
                "before is used."
            )
    else:
        with storage_errors(marker):
            marker.unlink(missing_ok=True)  # from now on there is half of something, until all is there again
        removed = yield from _prepare(settings, folder, teacher, stop)
        if removed is None:
            return None
        write_json(marker, {"settings": wanted, "contents": contents, "removed": removed})
    return PreparedText(
        AutoTokenizer.from_pretrained(folder / "vocabulary", local_files_only=True),
        Tokens.load(folder / "texts"),
        Tokens.load(folder / "validation"),
        Tokens.load(folder / "passages") if settings.passages else None,
        np.load(folder / "vectors.npy", mmap_mode="r") if settings.passages else None,
        _load_tasks(folder, len(settings.tasks)),
        int(read_json(marker)["removed"]),
    )


def _names(settings: PretrainBackboneSettings) -> list[str]:
    return [*settings.files, *settings.keep_out, *(name for task in settings.tasks for name in task.files)]


def _unchanged(contents: Mapping[str, str | None], before: Mapping[str, str | None]) -> bool:
    return all(found is None or found == before.get(name) for name, found in contents.items())


def _prepare(settings: PretrainBackboneSettings, folder: Path, teacher: Teacher, stop: StopToken) -> Part[int | None]:
    """Write everything that `prepare_text` reads; returns how many rows were removed, ``None`` when stopped."""
    forbidden = yield from forbidden_sentences(settings.keep_out, folder / "kept-out", stop=stop)
    plain = ImportSettings(text_column="text", minimum_characters=20)
    corpus, removed = yield from gather_texts(settings.files, forbidden, folder / "imported", plain, stop=stop)
    if stop.requested:
        return None
    texts = [corpus.texts[row] for row in np.random.default_rng(settings.seed).permutation(corpus.rows)]
    held, rest = texts[: settings.validation_rows], texts[settings.validation_rows :]
    if not rest:
        raise DataError(
            f"{len(texts):,} texts are too few to hold out {len(held):,}", remedy="Hold out fewer, or give more."
        )
    if settings.start:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(settings.start, local_files_only=True)
        with replacing_files(folder / "vocabulary") as temporary:
            tokenizer.save_pretrained(temporary)
    else:
        yield Notice("Training the vocabulary")
        tokenizer = train_vocabulary(
            rest[:VOCABULARY_TEXTS],
            folder / "vocabulary",
            pieces=settings.pieces,
            words=settings.words,
            lower_case=settings.lower_case,
        )
    (yield from tokens_of(held, tokenizer, "Making tokens")).save(folder / "validation")
    (yield from tokens_of(rest, tokenizer, "Making tokens")).save(folder / "texts")
    for number, task in enumerate(settings.tasks):
        removed += yield from _write_task(task, forbidden, tokenizer, folder / f"task-{number}", stop)
    if settings.passages:
        drawn = draw_passages(rest, settings.passages, seed=settings.seed)
        (yield from tokens_of(drawn, tokenizer, "Making tokens of passages")).save(folder / "passages")
        layers = settings.teacher_layers
        yield from passage_vectors(drawn, teacher, layers, folder / "vectors.npy", stop=stop)
    return None if stop.requested else removed


def _write_task(
    task: LabelledTask, forbidden: frozenset[str], tokenizer: PreTrainedTokenizerBase, folder: Path, stop: StopToken
) -> Part[int]:
    columns = ImportSettings(
        text_column=task.text_column, label_column=task.label_column, words=task.words, minimum_characters=20
    )
    corpus, removed = yield from gather_texts(task.files, forbidden, folder, columns, stop=stop)
    (yield from tokens_of(corpus.texts, tokenizer, "Making tokens of a task")).save(folder / "texts")
    save_array(folder / "labels.npy", corpus.labels)
    Tokens.of(tokenizer([f"<extra_id_0> {corpus.words[name]}" for name in corpus.classes]).input_ids).save(
        folder / "answers"
    )
    asked = [question.replace("{mask}", "<extra_id_0>") for question in task.questions]
    Tokens.of(tokenizer(asked).input_ids).save(folder / "questions")
    return removed


def _load_tasks(folder: Path, count: int) -> TaskTokens | None:
    """Put the tasks one behind the other."""
    folders = [folder / f"task-{number}" for number in range(count)]
    if not folders:
        return None
    texts, answers = ([Tokens.load(task / name) for task in folders] for name in ("texts", "answers"))
    questions = [Tokens.load(task / "questions") for task in folders]
    before = np.cumsum([0, *(len(part) for part in answers)])
    labels = [np.load(task / "labels.npy") + start for task, start in zip(folders, before, strict=False)]
    owners = [asked for part, asked in zip(answers, questions, strict=True) for _ in range(len(part))]
    return TaskTokens(_joined(texts), np.concatenate(labels), _joined(answers), owners)


def _joined(parts: Sequence[Tokens]) -> Tokens:
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    return Tokens(np.concatenate([part.values for part in parts]), np.concatenate([[0], np.cumsum(lengths)]))
