"""Reading of shards, and checks of single rows: ids, places, labels, texts."""
