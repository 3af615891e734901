"""The corpus format and its reader. Needs NumPy, pyarrow, pydantic, shapely and pyproj; nothing that builds."""
