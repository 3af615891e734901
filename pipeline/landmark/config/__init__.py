"""Recipes and profiles, parsed and validated."""
