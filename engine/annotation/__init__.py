"""Pseudo-labels: an annotator learns from the labelled corpus and labels open-domain text (sections 4.1 and 5)."""
