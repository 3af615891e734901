"""The command line: parse, call, print. No logic."""

from landmark.cli.main import main

__all__ = ["main"]
