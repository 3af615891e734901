"""Whether a model learned from pixels what its rivals cannot know."""
