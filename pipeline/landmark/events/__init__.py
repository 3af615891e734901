"""Crisis events of mapping services and catalogues, their masks, and downloads of public feeds."""
