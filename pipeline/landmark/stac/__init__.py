"""STAC documents, GeoParquet and APIs → acquisitions and label maps, de-duplicated and exhaustive; header probes."""
