"""Label counts and events of a cell → labels, fractions, captions, questions, negatives; and back. Pure text."""
