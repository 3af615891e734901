"""Format of a corpus on disk, and its reader; without anything that builds corpora."""
