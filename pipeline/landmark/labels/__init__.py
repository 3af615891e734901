"""Label rules, files, editions, pixel counts and cloud statistics per cell; orders of maps no catalogue serves."""
