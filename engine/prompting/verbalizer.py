"""The verbalizer: a label word for each class, and what the decoder reads to be asked for it (section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from engine.errors import DataError
from engine.words import default_words


@dataclass(frozen=True)
class Verbalizer:
    """Classes and their label words, in order.

    Attributes
    ----------
    classes, words
        Names of the classes and the word of each.
    tokens
        Token ids of each word; several where the tokenizer splits it. Such a word is scored by the mean log probability
        of its tokens.
    """

    classes: tuple[str, ...]
    words: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]

    @property
    def single_tokens(self) -> bool:
        """Whether every word is one token, so that one decoder pass answers for all."""
        return all(len(ids) == 1 for ids in self.tokens)

    def warnings(self) -> list[str]:
        """Return a sentence for each word that the tokenizer splits."""
        return [
            f"The label word '{word}' is {len(ids)} tokens long for this backbone; a word of one token works better."
            for word, ids in zip(self.words, self.tokens, strict=True)
            if len(ids) > 1
        ]

    def as_mapping(self) -> dict[str, str]:
        """Return class -> word."""
        return dict(zip(self.classes, self.words, strict=True))


_COMMON = """
terrible awful horrible bad poor weak sad angry wrong false no never nothing maybe okay fine fair average normal
mixed good nice right true yes great excellent perfect wonderful happy glad love hate like worst best low high small
big less more slow fast easy hard cheap expensive old new late early safe dangerous clear unclear calm urgent
important trivial question answer problem solution praise complaint request thanks help news sport business science
politics health music film book food travel money law school work home game weather art history technology world
people family friend child woman man fact opinion joke serious positive negative neutral support against open closed
payment bill price order delivery shipping return refund repair account password access privacy data security technical
computer software hardware phone internet service product customer contract insurance bank tax marketing legal
education medicine energy environment car house
"""
COMMON_WORDS = tuple(_COMMON.split())
"""Words that often serve as label words, of judgements and topics; those of one token are suggested for a split one."""


def suggest_words(
    word: str, tokenizer: PreTrainedTokenizerBase, encode: Callable[[Sequence[str]], np.ndarray], count: int = 3
) -> list[str]:
    """Return words of one token that could stand for ``word``: those in it, then those that mean something like it.

    Parameters
    ----------
    encode
        Gives vectors of length one, float32 [n, d], for n words (Sentence-BERT's).
    """

    def single(other: str) -> bool:
        return other != word and len(tokenizer(other, add_special_tokens=False)["input_ids"]) == 1

    own = [part for part in dict.fromkeys(word.split()) if len(part) > 3 and single(part)]
    candidates = [other for other in COMMON_WORDS if other not in own and single(other)]
    vectors = encode([word, *candidates])
    order = np.argsort(-(vectors[1:] @ vectors[0]))
    return [*own, *(candidates[number] for number in order)][:count]


def make_verbalizer(classes: Sequence[str], words: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> Verbalizer:
    """Check ``words`` against the classes and the tokenizer.

    Parameters
    ----------
    classes
        Names of the classes in order.
    words
        Word of each class; empty takes `default_words`.

    Raises
    ------
    DataError
        If there are fewer than two classes, a class has no word, two share one, or a word has an unknown token.
    """
    if len(classes) < 2:
        raise DataError(
            f"There {'is only one class' if classes else 'are no classes'}, so there is nothing to tell apart",
            where=", ".join(classes) or None,
            remedy="Import texts with at least two different labels.",
        )
    words = words or default_words(classes)
    unknown = sorted(set(words) - set(classes))
    missing = [name for name in classes if not words.get(name, "").strip()]
    if unknown or missing:
        raise DataError(
            f"The label words do not fit the classes {', '.join(classes)}"
            + (f": no word for {', '.join(missing)}" if missing else "")
            + (f": there is no class {', '.join(unknown)}" if unknown else ""),
            remedy="Give each class one word, such as 1=bad 2=good.",
        )
    chosen = tuple(words[name].strip() for name in classes)
    tokens: list[tuple[int, ...]] = []
    for word in chosen:
        ids = tuple(tokenizer(word, add_special_tokens=False)["input_ids"])
        if not ids or tokenizer.unk_token_id in ids:
            raise DataError(
                f"The backbone's tokenizer does not know the label word '{word}'", remedy="Choose another word."
            )
        if ids in tokens:
            raise DataError(
                f"The classes {classes[tokens.index(ids)]} and {classes[len(tokens)]} share the label word '{word}'",
                remedy="Give each class a word of its own.",
            )
        tokens.append(ids)
    return Verbalizer(tuple(classes), chosen, tuple(tokens))
