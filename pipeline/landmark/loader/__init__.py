"""Loader: shards to batches, in an order that is a function of seed, epoch and step."""
