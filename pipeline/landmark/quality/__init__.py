"""Corpus → findings: measure once, check, report. Only the measuring pass reads pixels."""
