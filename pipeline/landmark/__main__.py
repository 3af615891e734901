"""`python -m landmark`."""

from landmark.cli import main

main()
