"""Taxonomy, caption and event YAML → every mistake in them."""
