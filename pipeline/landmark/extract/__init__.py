"""Extract the chips of one acquisition. Independent of labels."""
