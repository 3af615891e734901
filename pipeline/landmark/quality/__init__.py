"""Corpus → findings: the gate.

One pass measures every shard where the units run; what it brings back is judged here, check by check, against rules in
YAML. Nothing is judged twice, and no check reads a pixel of its own.
"""

from landmark.quality.check import check
from landmark.quality.findings import Finding, Report, Verdict, read_report
from landmark.quality.junit import junit
from landmark.quality.rules import Rules, load_rules

__all__ = ["Finding", "Report", "Rules", "Verdict", "check", "junit", "load_rules", "read_report"]
