"""How prompts are trained: Prompt-MAML, PPT, few-shot tuning, and full-model tuning for comparison.

Nothing in here knows where tasks come from: `engine.training.examples` is handed groups of rows.
"""
