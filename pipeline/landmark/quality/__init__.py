"""Corpus → findings: the gate."""
