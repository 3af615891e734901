"""Format of a corpus on disk, and its reader; depends on NumPy, pyarrow, pydantic, shapely and pyproj only."""
