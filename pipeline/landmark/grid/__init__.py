"""Area → cells, zones, Major-TOM names, blocks; pixel centres of cells."""
