"""Nouns shared by all rooms: acquisitions, taxonomies, events, drop records, table schemas."""
