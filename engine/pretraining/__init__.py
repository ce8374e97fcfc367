"""Pre-training a T5 of one's own: its texts and vocabulary, what it is taught, the loop."""
