"""Embed images and texts, rank images for queries, and measure the rankings."""
