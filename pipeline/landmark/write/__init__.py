"""Samples → staging, shards, index, ledger, queries, card, manifest; exports beside them."""
