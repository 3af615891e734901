"""Extract the chips of one acquisition. Knows no labels."""
