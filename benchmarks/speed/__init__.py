"""The engine against what a user would otherwise run: see ``__main__.py``."""
