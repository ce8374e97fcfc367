"""What an engine process keeps between jobs: backbone, sentence encoder, the prompt that questions are asked of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import DataError
from engine.settings import BackboneSettings, ImportSettings, validated
from engine.stage import Part, result_of

if TYPE_CHECKING:
    import numpy as np

    from engine.backbones.load import Backbone
    from engine.embedding.sentence_bert import SentenceEncoder
    from engine.prompting.classifier import TextClassifier


class Session:
    """Loads models once; heavy libraries are imported at the first use."""

    def __init__(self) -> None:
        self._backbone: tuple[BackboneSettings, Backbone] | None = None
        self._usual_threads: int | None = None
        self._encoders: dict[str, SentenceEncoder] = {}
        self._classifiers: dict[str, TextClassifier] = {}
        self._vectors: dict[str, np.ndarray] = {}

    def backbone(self, settings: BackboneSettings) -> Part[Backbone]:
        """Return the backbone for the ``settings`` of a job, loading it if another one is held."""
        import torch

        if self._usual_threads is None:
            self._usual_threads = torch.get_num_threads()
        torch.set_num_threads(settings.threads or self._usual_threads)
        return (yield from self._held(settings))

    def _held(self, settings: BackboneSettings) -> Part[Backbone]:
        from engine.backbones.load import load_backbone

        wanted = settings.model_copy(update={"threads": None, "offline": False})
        if self._backbone is None or self._backbone[0] != wanted:
            self._backbone = None  # frees the old one first: two may not fit
            self._classifiers.clear()
            loaded = yield from load_backbone(settings.model_copy(update={"threads": None}))
            self._backbone = (wanted, loaded)
        return self._backbone[1]

    def _asked(self, backbone: dict[str, Any]) -> Backbone:
        """Return the backbone for a question; the threads are those of the job that may run beside it."""
        return result_of(self._held(BackboneSettings(**backbone)))

    def sentence_encoder(self, device: str = "auto") -> SentenceEncoder:
        """Return Sentence-BERT on ``device``."""
        from engine.embedding.sentence_bert import SentenceEncoder

        if device not in self._encoders:
            self._encoders[device] = SentenceEncoder(device=device)
        return self._encoders[device]

    def classifier(self, path: Path, settings: BackboneSettings) -> Part[TextClassifier]:
        """Return what a file classifies with: a prompt on its backbone, or a probe on Sentence-BERT."""
        return (yield from self._classifier(path, settings, self.backbone))

    def _classifier(
        self, path: Path, settings: BackboneSettings, backbone: Callable[[BackboneSettings], Part[Backbone]]
    ) -> Part[TextClassifier]:
        from engine.evaluation.probe_file import ProbeClassifier, is_probe, load_probe
        from engine.prompting.classifier import PromptClassifier
        from engine.prompting.prompt_file import load_prompt

        if is_probe(path):
            return ProbeClassifier(load_probe(path), self.sentence_encoder(settings.device))
        prompt = load_prompt(path)
        return PromptClassifier([prompt], (yield from backbone(settings)))

    def release_memory(self) -> None:
        """Give back what a GPU's memory holds beside the models: others want it while nothing is trained."""
        if "torch" in sys.modules:
            import torch

            torch.cuda.empty_cache()

    # Short questions, answered between the steps of a job -------------------------------------------------------------

    def preview_file(self, path: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the beginning of a file and how it is read (`engine.corpus.preview.preview_file`)."""
        from engine.corpus.preview import preview_file

        return preview_file(path, validated(ImportSettings, settings))

    def word_tokens(self, backbone: dict[str, Any], word: str) -> list[str]:
        """Return the pieces that the backbone's tokenizer splits ``word`` into; none if it does not know them."""
        tokenizer = self._asked(backbone).tokenizer
        pieces: list[str] = tokenizer.tokenize(word)
        unknown = any(tokenizer.convert_tokens_to_ids(piece) == tokenizer.unk_token_id for piece in pieces)
        return [] if unknown else pieces

    def suggest_words(self, backbone: dict[str, Any], word: str) -> list[str]:
        """Return words of one token that mean something like ``word``."""
        from engine.prompting.verbalizer import suggest_words

        tokenizer = self._asked(backbone).tokenizer
        return suggest_words(word, tokenizer, self.sentence_encoder("cpu").encode)

    def suggest_rows(self, texts: list[str], labelled: list[str], labels: list[str], count: int) -> list[int]:
        """Return which of ``texts`` are worth a label most, given ``labelled`` ones with their ``labels``."""
        import numpy as np

        from engine.annotation.suggestions import suggest_rows

        new = [text for text in dict.fromkeys([*texts, *labelled]) if text not in self._vectors]
        if new:
            self._vectors |= zip(new, self.sentence_encoder("cpu").encode(new), strict=True)
        names = sorted(set(labels))
        vectors, known = (np.array([self._vectors[text] for text in some]) for some in (texts, labelled))
        codes = np.array([names.index(name) for name in labels], np.int64)
        return suggest_rows(vectors, known, codes, count, seed=len(labels)).tolist()

    def preview(self, backbone: dict[str, Any], prompt: dict[str, Any], text: str) -> str:
        """Return exactly what the backbone reads for ``text``."""
        from engine.prompting.template import Template
        from engine.settings import PromptSettings

        tokenizer = self._asked(backbone).tokenizer
        return Template(PromptSettings(**prompt), tokenizer).preview(text)

    def classify(self, backbone: dict[str, Any], prompt: str, text: str) -> dict[str, float]:
        """Return the probability of each class of a prompt's or a probe's file for ``text``, cleaned as in files.

        Raises
        ------
        DataError
            If the text holds bytes that are no characters.
        """
        from engine.corpus.rows import LONE_SURROGATE

        if LONE_SURROGATE.search(text):
            raise DataError(
                "The text holds bytes that are no characters", where=ascii(text)[:80], remedy="Type it anew."
            )
        path, settings = Path(prompt), BackboneSettings(**backbone)
        key = f"{prompt} {path.stat().st_mtime_ns if path.exists() else 0} {settings}"
        if key not in self._classifiers:
            self._classifiers = {key: result_of(self._classifier(path, settings, self._held))}
        classifier = self._classifiers[key]
        return dict(zip(classifier.classes_.tolist(), classifier.predict_proba([text])[0].tolist(), strict=True))

    def devices(self) -> list[dict[str, Any]]:
        """Return name, description and memory (bytes) of the devices, the fastest first."""
        from dataclasses import asdict

        from engine.backbones.devices import available_devices

        return [asdict(device) for device in available_devices()]

    def device_memory(self) -> dict[str, Any] | None:
        """Return name, used and total memory (bytes) of the GPU that a loaded backbone is on; ``None`` without one."""
        if self._backbone is None or self._backbone[1].device.type != "cuda":
            return None
        import torch

        device = self._backbone[1].device
        free, total = torch.cuda.mem_get_info(device)
        return {"name": torch.cuda.get_device_name(device), "used": total - free, "total": total}

    def describe_prompt(self, prompt: str) -> dict[str, Any]:
        """Return what a prompt file, a PEFT folder or a probe's file says of itself."""
        from engine.evaluation.probe_file import is_probe, load_probe
        from engine.prompting.prompt_file import load_prompt

        if is_probe(Path(prompt)):
            probe = load_probe(Path(prompt))
            return {"encoder": probe.encoder, "classes": list(probe.classes), "metrics": probe.metrics}
        found = load_prompt(Path(prompt))
        return {
            "classes": list(found.words),
            "backbone": found.backbone.name if found.backbone else None,
            "words": found.words,
            "soft_tokens": len(found.vectors),
            "width": found.vectors.shape[1],
            "settings": found.settings.model_dump(),
            "metrics": found.metrics,
        }

    def export_prompt(self, prompt: str, target: str, peft: bool) -> int:
        """Write a prompt as a file of its own or as a PEFT folder, or a probe's file; return the bytes written."""
        from engine.evaluation.probe_file import is_probe, load_probe, save_probe
        from engine.prompting.prompt_file import load_prompt, save_peft, save_prompt

        path = Path(target)
        if is_probe(Path(prompt)) and not peft:
            save_probe(load_probe(Path(prompt)), path)
            return path.stat().st_size
        found = load_prompt(Path(prompt))
        if peft:
            save_peft(found, path)
            return sum(item.stat().st_size for item in path.iterdir())
        save_prompt(found, path)
        return path.stat().st_size


QUESTIONS = (
    "preview_file",
    "word_tokens",
    "suggest_words",
    "suggest_rows",
    "preview",
    "classify",
    "devices",
    "device_memory",
    "describe_prompt",
    "export_prompt",
)
"""Methods of `Session` that may be asked over the second pipe."""
