"""Documents, GeoParquet and APIs → acquisitions and label items, de-duplicated and exhaustive; header probes."""
