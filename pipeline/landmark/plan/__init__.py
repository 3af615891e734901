"""Pure functions of tables: candidates, splits, balance, event windows, choice, pairs, shards, estimate."""
