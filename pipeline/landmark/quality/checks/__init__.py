"""Checks of a whole corpus: documents, acquisitions, levels, splits, copies, bias."""
