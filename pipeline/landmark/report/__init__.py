"""Corpus → sheets, pages and explanations."""
