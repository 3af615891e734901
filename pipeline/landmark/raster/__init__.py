"""Read chips from rasters, each block once, and features from vector files."""
