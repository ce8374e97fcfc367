"""The engine of MetaPT: from text to a tuned, exported soft prompt, without a window.

The way of the data is the list of folders: ``corpus`` -> ``annotation`` -> ``clustering`` -> ``training``
(``prompt_maml``) -> ``training`` (``few_shot``) -> ``prompting`` (the prompt file). Nothing in here knows Qt.
"""

__version__ = "0.1.0"
