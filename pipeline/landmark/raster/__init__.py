"""The read engine: every block once; signing, rate limits, ranges, GDAL for unusual files; vectors."""
