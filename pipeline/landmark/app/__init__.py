"""The command line: parse, call, print. No logic."""

from landmark.app.main import main

__all__ = ["main"]
