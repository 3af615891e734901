"""Compose the rooms: recipe → plan → corpus, and every other long job."""
