"""What people write, parsed: recipes, regions, sampling, label and event entries, profiles."""
