"""Cells of a region: UTM zones, blocks, Major-TOM names, pixel centres."""
