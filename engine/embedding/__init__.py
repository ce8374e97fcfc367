"""Sentence embeddings: Sentence-BERT, and the cache that keeps its vectors on disk."""
