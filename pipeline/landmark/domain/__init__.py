"""The nouns every room shares. Imports nothing that builds a corpus."""
