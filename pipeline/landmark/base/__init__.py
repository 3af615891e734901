"""The nouns every room shares. Imports no stage, and neither rasterio, dask nor torch."""
