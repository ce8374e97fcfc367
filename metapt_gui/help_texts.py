"""What the help of each page says, in Markdown."""

from __future__ import annotations

TEXTS = {
    "": """**MetaPT** learns where a *soft prompt* for a frozen T5 should start, tunes it on a few labels and
hands it over as
a small file.

Make a project, open one, or try the sample project. Everything is kept in the project's folder at every
moment; there is
nothing to save.""",
    "import": """**Import** brings in up to four kinds of texts.

* *Labelled texts* teach: reviews with stars, say. The paper uses Yelp reviews. If there are none, the labels of
your own task can teach (*Take my labels*).
* *Unlabelled texts* are optional: a pile of any text, which the next step labels.
* *Your task* holds the texts that you care about. A few of them will be labelled by you.
* *Test texts* are optional: labelled ones of your task, which are only measured on.

Drop a file. The first 200 rows show how it is read; click a column's head to say that it is the text or the label.
Rows that cannot be read are set aside and listed; the others are imported.""",
    "label": """**Pseudo-label** gives unlabelled texts the labels that the labelled ones suggest (the paper's
annotator).

Drag a threshold: texts that are less confident are left out, and the counts follow. *Balance* keeps as many
texts of each
class. The reliability diagram shows whether a confidence of 90 % is right nine times in ten. In the audit,
**A** accepts,
**1–9** give another class, **R** rejects, **0** takes the decision back. *Apply* makes the selection anew.""",
    "cluster": """**Cluster** groups similar texts; each group becomes a task that the prompt learns from (the
paper's meta
tasks, K = 10 by K-means on Sentence-BERT).

Each dot is a text. Hover to read it, click to select its group. Hold Shift and draw a line around dots to read
their texts and select their groups. Groups can be renamed, left out or merged
(select several
with Ctrl). *Compare K* draws the silhouette for 3 to 30 groups: higher means better apart.""",
    "train": """**Meta-train** learns a starting prompt (Prompt-MAML): for each group the prompt adapts to a
few texts
(support), and is then judged on others (query). *How the prompt learns* offers pre-training on all texts together
(PPT), too, which needs no groups; the next step compares the two if you have both.

A *preset* sets everything. *How long will it take?* times a few steps. *Stop and keep best* ends after the
present step;
*Resume* goes on from there. Tick runs below the curves to compare them; a right click offers to use one again, with its
settings, or to delete it.""",
    "tune": """**Label and tune**: name your classes, give each a label word, and label some texts with the
keys **1–9**
(**0** clears). The paper uses 40 texts for training and 40 for validation. Labels are on disk at once; Ctrl+Z
takes them
back. *Suggest next 10* puts texts first that are in doubt after the labels so far, and unlike each other.

*Tune* then tunes the prompt with several seeds side by side and compares it with plain prompt tuning, the
backbone alone (no prompt, no label) and a linear probe on
Sentence-BERT. A double click on a text that was wrongly classified goes to it among the labels. Under *Runs* a
right click offers to use an earlier tuning again, with its settings and its probe, or to delete it.""",
    "use": """**Use and export**: type a sentence to see how probable each class is, classify whole files (the
answers stand beside their own columns), save the prompt as a
file of its own or as a PEFT folder, or copy the Python that loads it. *What classifies* offers the probe that the
prompt was compared with, too.""",
}

PAGE_KEYS = (
    ("1 to 9", "Label table: give the selected texts a class and move on"),
    ("0", "Label table: clear the label"),
    ("Ctrl+F", "Label table: search"),
    ("A, R, 0", "Audit: accept, reject, undecided"),
    ("Left, Right", "Confidence histogram: move the selected threshold"),
    ("A, +, −, arrows", "Scatter: show all, zoom, move"),
    ("Esc", "Leave a dialog"),
)

ABOUT = """**MetaPT {version}**

An independent implementation of the method of Huang, Qian and Yu, *Learning a Better Initialization for Soft
Prompts via Meta-Learning*, for people with a pile of text and a handful of labels.

MetaPT itself is under the Apache License 2.0. It is built with Qt (PySide6), PyTorch, transformers,
Sentence-Transformers, scikit-learn, pyqtgraph and others, which keep their own licences
(THIRD_PARTY_NOTICES.md). The weights of the bundled backbone are for research and evaluation, says their
card: several of the corpora that they were trained on state no licence, or one for research only. It is not
settled whether such weights may be used commercially. For a product, pre-train a backbone on your own text."""
