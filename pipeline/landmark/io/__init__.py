"""Below the stages: files that appear whole or not at all, and the one way rasters are read."""
