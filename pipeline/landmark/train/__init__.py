"""Corpus → CLOSP, and how well it retrieves."""
