"""The window of MetaPT. It stands on ``engine`` and comes next; see ``docs/roadmap.md``."""
