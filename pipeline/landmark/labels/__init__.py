"""Label rules, files and editions; pixel counts and cloud statistics per cell; orders of label maps."""
