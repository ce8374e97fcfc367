"""Every setting, declared once: type, default (the paper's), range, unit and help.

The forms of the window, the options of the command line, the TOML files, the sentences about wrong values and the
reference page in the documentation are made from these models. Paper sections are those of Huang, Qian and Yu,
"Learning a Better Initialization for Soft Prompts via Meta-Learning".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import SettingsError
from engine.words import PAPER_WORDS


def option(default: Any, help: str, *, unit: str = "", advanced: bool = False, **constraints: Any) -> Any:
    """Declare a setting: its default, what it changes in the reader's words, its unit, and pydantic's constraints."""
    extra: Any = {"unit": unit, "advanced": advanced}
    begins: Any = {"default_factory": default.copy} if isinstance(default, (dict, list)) else {"default": default}
    return Field(**begins, description=help, json_schema_extra=extra, **constraints)


class Settings(BaseModel):
    """Base of the settings of a stage: immutable, no unknown names, defaults checked like any other value."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Settings)


def validated(model: type[Model], values: Mapping[str, Any], *, where: str = "") -> Model:
    """Make ``model`` from ``values``.

    Raises
    ------
    SettingsError
        With one sentence that names each wrong setting, its value and what was expected.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        parts = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                parts.append(f"there is no setting '{name}'")
            else:
                given = "" if problem["type"] == "missing" else f", not {problem.get('input')!r}"
                parts.append(f"'{name}': {problem['msg'].removeprefix('Value error, ')}{given if name else ''}")
        raise SettingsError(
            "; ".join(parts), where=where or None, remedy="Correct the value; `metapt template` lists the settings."
        ) from error


class ImportSettings(Settings):
    """How texts are read and cleaned."""

    format: Literal["auto", "csv", "tsv", "jsonl", "json", "parquet", "xlsx", "txt"] = option(
        "auto", "File format; auto goes by the file's ending and content."
    )
    encoding: str = option("auto", "Text encoding, such as utf-8 or cp1252; auto detects it.", advanced=True)
    delimiter: str = option("auto", "Character between columns of a CSV file; auto detects it.", advanced=True)
    header: Literal["auto", "yes", "no"] = option(
        "auto",
        "Whether the first line of a CSV file names its columns; auto: if it differs from the lines below it.",
        advanced=True,
    )
    skip_rows: int | None = option(
        None,
        "Rows of a CSV file or a sheet above the names of its columns, such as a title; empty finds them.",
        unit="rows",
        ge=0,
        advanced=True,
    )
    sheet: str = option("", "Sheet of a workbook, by its name or number; empty takes the first.", advanced=True)
    text_column: str = option("", "Column that holds the text; empty picks the column with the longest texts.")
    label_column: str = option("", "Column that holds the label or rating; empty means that there are no labels.")
    label_map: dict[str, str] = option(
        {},
        "Which class each value of the label column belongs to, such as 1=bad 2=bad 4=good 5=good; rows with other "
        "values are dropped. Empty: each value is its own class. Classes keep the order in which they are named.",
    )
    words: dict[str, str] = option(
        {},
        "Label word of each class, such as 1=terrible 5=great; empty takes the paper's words for 2, 3 or 5 ratings and "
        "the names of the classes otherwise.",
    )
    keep_unlabelled: bool = option(
        False, "Keep rows whose label is empty, so that they can be labelled here.", advanced=True
    )
    one_row_per: Literal["line", "file"] = option("line", "Whether a line or a whole file of plain text is one row.")
    strip_html: bool = option(True, "Remove HTML tags and decode entities.", advanced=True)
    drop_duplicates: bool = option(True, "Keep only the first of rows whose cleaned texts are equal.", advanced=True)
    minimum_characters: int = option(2, "Shorter texts are dropped.", unit="characters", ge=1, advanced=True)
    maximum_rows: int | None = option(
        None, "Keep a random sample of at most this many rows; empty keeps all.", unit="rows", ge=1
    )
    balance: bool = option(False, "Sample the same number of rows from each class.")
    seed: int = option(0, "Seed of the random sample.", ge=0, advanced=True)
    maximum_broken_share: float = option(
        0.01,
        "The import fails when more than this share of rows is broken.",
        unit="share of rows",
        ge=0,
        le=1,
        advanced=True,
    )


class AnnotateSettings(Settings):
    """How open-domain text is given pseudo-labels (section 4.1 and 5)."""

    annotator: Literal["sentence-bert", "roberta"] = option(
        "sentence-bert",
        "Who labels: a linear classifier on Sentence-BERT (fast, works offline) or a fine-tuned RoBERTa-class model.",
    )
    model: str = option(
        "roberta-base", "RoBERTa-class model to fine-tune: a folder or a name on the hub; the paper's is roberta-base."
    )
    held_out_share: float = option(
        0.1, "Share of labelled rows kept aside to calibrate confidence.", unit="share of rows", gt=0, lt=0.9
    )
    confidence: float = option(0.9, "Rows less confident than this are dropped.", unit="probability", ge=0, le=1)
    class_confidence: dict[str, float] = option(
        {}, "Confidence below which rows of one class are dropped, such as terrible=0.97; others use the one above."
    )
    out_of_domain_share: float = option(
        0.2,
        "The share of the unlabelled texts that are least like the labelled ones and are dropped; the paper drops none "
        "(0), and neutral news is then called terrible with confidence (section 6.1).",
        unit="share of rows",
        ge=0,
        lt=1,
    )
    balance: bool = option(True, "Keep the same number of rows of each class.")
    maximum_rows: int | None = option(
        None, "Keep at most this many pseudo-labelled rows, the most confident first.", unit="rows", ge=1
    )
    epochs: int = option(3, "Passes over the labelled rows when a model is fine-tuned.", unit="epochs", ge=1)
    learning_rate: float = option(2e-5, "AdamW rate when a model is fine-tuned.", gt=0, advanced=True)
    batch_size: int = option(16, "Rows a fine-tuning step.", unit="rows", ge=1, advanced=True)
    maximum_tokens: int = option(
        128, "Longer texts are cut when a model is fine-tuned.", unit="tokens", ge=8, le=512, advanced=True
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.")
    offline: bool = option(False, "Never touch the network.", advanced=True)
    seed: int = option(0, "Seed of the held-out rows, the sampling and the fine-tuning.", ge=0, advanced=True)


class ClusterSettings(Settings):
    """How texts are grouped into meta tasks (section 4.2)."""

    method: Literal["kmeans", "lda", "random", "label"] = option(
        "kmeans", "K-means on Sentence-BERT vectors, LDA topics, at random, or by label (table 2)."
    )
    clusters: int = option(10, "K, the number of groups; the paper's is 10.", unit="groups", ge=2, le=100)
    projection: Literal["tsne", "pca", "none"] = option("tsne", "How texts are laid out in the plane (figure 4).")
    projection_rows: int = option(
        20_000,
        "t-SNE runs on at most this many rows; the others are placed among them.",
        unit="rows",
        ge=50,
        advanced=True,
    )
    tsne_iterations: int = option(500, "Iterations of t-SNE.", unit="iterations", ge=50, advanced=True)
    perplexity: float = option(30, "About how many neighbours t-SNE looks at.", gt=1, le=200, advanced=True)
    lda_passes: int = option(5, "Passes of LDA over the texts.", unit="passes", ge=1, advanced=True)
    sweep: bool = option(False, "Also measure the silhouette for K from 3 to 30.")
    seed: int = option(0, "Seed of K-means, LDA, t-SNE and the random split.", ge=0, advanced=True)


class BackboneSettings(Settings):
    """Which T5 runs, and where."""

    backbone: str = option(
        "bundled", "bundled, a folder that holds a T5, or a name on the hub such as t5-base (the paper's)."
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.")
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "auto multiplies in bfloat16 where the device has instructions for it, else in float32.", advanced=True
    )
    offline: bool = option(False, "Never touch the network.", advanced=True)
    threads: int | None = option(
        None, "CPU threads; empty leaves the choice to torch.", unit="threads", ge=1, le=256, advanced=True
    )


class PromptSettings(Settings):
    """What the backbone reads and answers (section 3)."""

    soft_tokens: int = option(100, "Length of the soft prompt; the paper's is 100.", unit="tokens", ge=1, le=500)
    template: str = option(
        "{text} It was {mask}.",
        "What is put around a text; {mask} is where the label word belongs (section 3.1). The paper's judges; "
        "'{text} This is about {mask}.' asks for a topic.",
    )
    text_tokens: int = option(
        512, "At most so many for text and template; longer texts are cut.", unit="tokens", ge=8, le=4096
    )
    answer: Literal["after_mask", "first"] = option(
        "after_mask",
        "Where the answer is read: after <extra_id_0>, as T5 was pre-trained, or at the first position.",
        advanced=True,
    )
    loss: Literal["vocabulary", "label_words"] = option(
        "vocabulary",
        "Cross-entropy of the label word over the whole vocabulary (the paper), or among the label words only.",
        advanced=True,
    )

    @model_validator(mode="after")
    def _template_has_both_places(self) -> PromptSettings:
        for place in ("{text}", "{mask}"):
            if self.template.count(place) != 1:
                raise ValueError(f"the template must contain {place} exactly once")
        return self


Initialisation = Literal["random", "vocabulary", "label_text"]
Improvement = Literal["accuracy", "loss"]


class MetaTrainSettings(Settings):
    """Prompt-MAML (section 4.3, algorithm 1; constants of section 5)."""

    gradient: Literal["exact", "first_order", "reptile"] = option(
        "exact", "The gradient through the adaptation (the paper's formula), its first-order part, or Reptile."
    )
    initialisation: Initialisation = option(
        "random", "Where the prompt starts: random (the paper), sampled word vectors, or the label words' vectors."
    )
    alpha: float = option(0.08, "Rate of the adaptation to one task; the paper's is 0.08.", gt=0)
    beta: float = option(0.025, "Rate of the update of the shared prompt; the paper's is 0.025.", gt=0)
    shots: int = option(
        4, "m, the texts of a task in its support set, and again in its query set.", unit="texts", ge=1, le=256
    )
    steps: int = option(20_000, "At most this many meta steps.", unit="steps", ge=1)
    inner_steps: int = option(1, "Adaptation steps a task.", unit="steps", ge=1, le=20, advanced=True)
    learn_inner_rates: bool = option(
        False, "Learn an adaptation rate for each soft token beside the prompt.", advanced=True
    )
    tasks_per_step: int | None = option(None, "Tasks drawn a step; empty takes all.", unit="tasks", ge=1, advanced=True)
    weight_decay: float = option(0.01, "Weight decay of AdamW.", ge=0, advanced=True)
    validate_every: int = option(100, "Steps between validations.", unit="steps", ge=1, advanced=True)
    validation_share: float = option(
        0.1, "Share of each task held out for validation.", unit="share of rows", gt=0, lt=0.9, advanced=True
    )
    validation_rows: int = option(100, "At most this many held-out texts a task.", unit="texts", ge=1, advanced=True)
    patience: int = option(6, "Stop after this many validations without improvement.", unit="validations", ge=1)
    tasks_per_pass: int | None = option(
        None, "Tasks in one pass through the backbone; empty takes as many as fit.", unit="tasks", ge=1, advanced=True
    )
    checkpoint_every: int = option(100, "Steps between checkpoints.", unit="steps", ge=1, advanced=True)
    seed: int = option(0, "Seed of the initialisation and of the sampling.", ge=0)


class PretrainSettings(Settings):
    """PPT: a prompt pre-trained on the same rows without tasks (appendix A.2)."""

    initialisation: Initialisation = option("random", "Where the prompt starts.")
    learning_rate: float = option(0.003, "AdamW rate; the paper's is 0.003.", gt=0)
    warmup_steps: int = option(20, "Steps of linear warm-up.", unit="steps", ge=0, advanced=True)
    batch_size: int = option(4, "Texts a step; the paper's is 4.", unit="texts", ge=1)
    epochs: int = option(5, "At most this many passes over the rows.", unit="epochs", ge=1)
    steps: int = option(1_250_000, "At most this many steps.", unit="steps", ge=1)
    validate_every: int = option(20_000, "Steps between validations.", unit="steps", ge=1, advanced=True)
    validation_share: float = option(
        0.1, "Share of the rows held out for validation.", unit="share of rows", gt=0, lt=0.9, advanced=True
    )
    validation_rows: int = option(1_000, "At most this many held-out texts.", unit="texts", ge=1, advanced=True)
    patience: int = option(5, "Stop after this many validations without improvement.", unit="validations", ge=1)
    weight_decay: float = option(0.01, "Weight decay of AdamW.", ge=0, advanced=True)
    checkpoint_every: int = option(1_000, "Steps between checkpoints.", unit="steps", ge=1, advanced=True)
    seed: int = option(0, "Seed of the initialisation and of the sampling.", ge=0)


class TuneSettings(Settings):
    """Few-shot tuning on the target task (section 5)."""

    training_rows: int = option(40, "Labelled texts drawn for training.", unit="texts", ge=1)
    validation_rows: int = option(40, "Labelled texts drawn for validation.", unit="texts", ge=0)
    test_rows: int = option(
        0, "Labelled texts set aside to test on, the same for every seed; 0 tests on none.", unit="texts", ge=0
    )
    seeds: int = option(
        5,
        "Runs tuned side by side, each on its own split of the texts; the paper's is 5.",
        unit="seeds",
        ge=1,
        le=100,
    )
    first_seed: int = option(0, "The first of the seeds.", ge=0, advanced=True)
    learning_rate: float = option(0.003, "AdamW rate; the paper's is 0.003.", gt=0)
    warmup_steps: int = option(20, "Steps of linear warm-up.", unit="steps", ge=0, advanced=True)
    batch_size: int = option(4, "Texts a step; the paper's is 4.", unit="texts", ge=1)
    epochs: int = option(200, "At most this many passes over the training texts.", unit="epochs", ge=1)
    epochs_without_validation: int = option(
        20, "Passes when there are too few labels to hold any out.", unit="epochs", ge=1, advanced=True
    )
    patience: int = option(5, "Stop after this many epochs without improvement.", unit="epochs", ge=1)
    improvement: Improvement = option(
        "accuracy",
        "What a better validation is: a higher accuracy (the paper; of equal ones the lower loss), or a lower loss, "
        "which depends less on which few texts validate.",
        advanced=True,
    )
    validate_start: bool = option(
        False, "Validate the starting prompt, too: it is kept if no epoch improves on it.", advanced=True
    )
    weight_decay: float = option(0.01, "Weight decay of AdamW.", ge=0, advanced=True)
    checkpoint_every: int = option(50, "Steps between checkpoints.", unit="steps", ge=1, advanced=True)


class FullModelSettings(Settings):
    """Full-model tuning (appendix A.1): all weights of the backbone."""

    learning_rate: float = option(3e-5, "AdamW rate; the paper's is 0.00003.", gt=0)
    warmup_steps: int = option(20, "Steps of linear warm-up.", unit="steps", ge=0, advanced=True)
    batch_size: int = option(4, "Texts a step; the paper's is 4.", unit="texts", ge=1)
    epochs: int = option(200, "At most this many passes over the training texts.", unit="epochs", ge=1)
    patience: int = option(5, "Stop after this many epochs without improvement.", unit="epochs", ge=1)
    weight_decay: float = option(0.01, "Weight decay of AdamW.", ge=0, advanced=True)


class LabelledTask(Settings):
    """A supervised task that a backbone is pre-trained on beside filling spans."""

    files: list[str] = option([], "Files, folders or globs.", min_length=1)
    text_column: str = option("text", "Column that holds the text.")
    label_column: str = option("label", "Column that holds the label.")
    words: dict[str, str] = option({}, "Answer for each label, such as 0=negative; empty answers with the label.")
    questions: list[str] = option(
        [], "What is put after a text, one drawn each time; {mask} is where the answer belongs.", min_length=1
    )


class PretrainingPhase(Settings):
    """A stretch of pre-training: how long, how fast, and what is trained."""

    steps: int = option(1000, "Steps of this phase.", unit="steps", ge=1)
    tokens_per_step: int = option(4096, "Tokens of input a step, of all objectives.", unit="tokens", ge=64)
    learning_rate: float = option(0.01, "Highest relative rate: the share by which a step moves a weight.", gt=0)
    warmup_steps: int = option(100, "Steps of linear warm-up.", unit="steps", ge=0)
    final_rate: float = option(0.02, "Share of the highest rate that the cosine ends at.", ge=0, le=1)
    spans: float = option(1.0, "Share of the tokens for span corruption (15 % in spans of 3).", ge=0)
    prefix: float = option(0.0, "Share of the tokens for prefix language modelling.", ge=0)
    chosen_words: float = option(0.0, "Share of the tokens for filling in one of the chosen words.", ge=0)
    chosen_words_weight: float = option(1.0, "Weight of that loss beside the others.", gt=0)
    verdicts: float = option(0.0, "Share of the tokens for telling a verdict whose sentence was cut out.", ge=0)
    verdicts_weight: float = option(1.0, "Weight of that loss beside the others.", gt=0)
    vectors: float = option(0.0, "Share of the tokens for matching Sentence-BERT's vectors.", ge=0)
    vectors_weight: float = option(4.0, "Weight of that loss beside the others.", gt=0)
    answers: float = option(0.0, "Share of the tokens for the labelled tasks.", ge=0)

    @model_validator(mode="after")
    def _trains_something(self) -> PretrainingPhase:
        if not any((self.spans, self.prefix, self.chosen_words, self.verdicts, self.vectors, self.answers)):
            raise ValueError("all shares are 0")
        return self


class PretrainBackboneSettings(Settings):
    """How a T5 of one's own is pre-trained, from text to a folder that every command takes as a backbone."""

    files: list[str] = option([], "Texts: files, folders or globs with a column 'text'; labels are not read.")
    keep_out: list[str] = option([], "Test sets; rows that share a sentence with one of them are removed.")
    start: str = option("", "Folder of a T5 to go on from, with its vocabulary and shape; empty starts anew.")
    pieces: int = option(12_000, "Size of the vocabulary without the sentinels.", unit="pieces", ge=200, le=60_000)
    words: list[str] = option(
        sorted({word for words in PAPER_WORDS.values() for word in words}),
        "Words that have to be one token each: the label words that prompts will use.",
    )
    lower_case: bool = option(True, "Fold capitals, so that a small vocabulary goes further.")
    width: int = option(256, "Length of a token's vector, d_model.", ge=8)
    feed_forward: int = option(1024, "Width of the feed-forward layers.", ge=8)
    heads: int = option(4, "Attention heads of width / heads each.", ge=1)
    encoder_layers: int = option(4, "Layers of the encoder.", ge=1)
    decoder_layers: int = option(2, "Layers of the decoder.", ge=1)
    length: int = option(128, "Tokens of input for span corruption; twice a prefix.", unit="tokens", ge=16)
    chosen_words: list[str] = option([], "Words that 'chosen_words' cuts out and asks for.")
    verdict_words: list[str] = option([], "Words of judgement that 'verdicts' asks for.")
    passages: int = option(200_000, "Short texts whose Sentence-BERT vectors are matched.", unit="texts", ge=0)
    teacher_layers: list[int] = option(
        [0, 3, 5, 6], "Layers of Sentence-BERT whose mean states are matched; 0 is its embeddings.", min_length=1
    )
    word_vectors: bool = option(True, "Begin with Sentence-BERT's word vectors, projected to the width.")
    tasks: list[LabelledTask] = option([], "Supervised tasks.")
    phases: list[PretrainingPhase] = option([], "What is trained, one after the other.", min_length=1)
    validation_rows: int = option(500, "Texts held out.", unit="texts", ge=1)
    validate_every: int = option(250, "Steps between validations.", unit="steps", ge=1)
    checkpoint_every: int = option(500, "Steps between checkpoints.", unit="steps", ge=1)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.")
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "auto multiplies in bfloat16 where the device has instructions for it; weights stay float32."
    )
    seed: int = option(0, "Seed of the weights, the sampling and the texts held out.", ge=0)
