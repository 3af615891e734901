"""Corpus → findings: measure once, check, report. No check reads a pixel of its own."""
