"""How good a prompt is: metrics, linear probes to compare with, and predictions on files."""
