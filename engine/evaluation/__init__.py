"""How good a prompt is: metrics, linear probes to compare with, tables, and predictions on files."""
