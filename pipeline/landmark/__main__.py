"""`python -m landmark`."""

from landmark.app import main

main()
