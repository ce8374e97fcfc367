"""The pieces that a T5 of one's own reads: a SentencePiece unigram model, saved as transformers expects it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from engine.errors import DataError, storage_errors
from engine.storage import replacing_files, write_json

SENTINELS = 100
"""``<extra_id_0>`` to ``<extra_id_99>``; as in T5, the first has the highest id."""


def train_vocabulary(
    texts: Iterable[str], folder: Path, *, pieces: int, words: Iterable[str], lower_case: bool = True
) -> PreTrainedTokenizerBase:
    """Train a unigram vocabulary (Kudo, 2018) on ``texts`` and save it into ``folder``.

    Parameters
    ----------
    texts
        Read once; a few hundred thousand sentences are enough.
    folder
        Gets ``spiece.model``, ``tokenizer.json`` and ``tokenizer_config.json``.
    pieces
        Size of the vocabulary without the sentinels.
    words
        Words that have to be one token each: the label words.
    lower_case
        Whether capitals are folded, so that ``Great`` and ``great`` share a piece.

    Raises
    ------
    DataError
        If the texts are too few for so many pieces, or one of ``words`` is not one token.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=pieces,
            model_type="unigram",
            character_coverage=0.9999,
            normalization_rule_name="nmt_nfkc_cf" if lower_case else "nmt_nfkc",
            max_sentence_length=20_000,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=2,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(
            f"The texts do not yield {pieces:,} pieces ({str(error).splitlines()[-1][:200]})",
            remedy="Choose fewer pieces, or give more text.",
        ) from error
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spiece.model").write_bytes(model.getvalue())
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": SENTINELS, "model_max_length": 512}
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    write_json(folder / "tokenizer_config.json", settings | names)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with replacing_files(folder) as temporary:
        tokenizer.save_pretrained(temporary)
    split = [word for word in words if len(tokenizer(word, add_special_tokens=False).input_ids) != 1]
    if split:
        raise DataError(
            f"These words are not one token in a vocabulary of {pieces:,} pieces: {', '.join(split)}",
            remedy="Choose more pieces, or give text in which the words occur.",
        )
    return tokenizer
