"""The engine of MetaPT: from text to a tuned, exported soft prompt, without a window.

The way of the data is the list of folders: ``corpus`` -> ``annotation`` -> ``clustering`` -> ``training``
(``prompt_maml``) -> ``training`` (``few_shot``) -> ``prompting`` (the prompt file). Nothing in here knows Qt.
"""

import os

# Read when the hub's client is imported, which may be at any time after this: nothing is told about the person's use.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

__version__ = "0.1.0"
