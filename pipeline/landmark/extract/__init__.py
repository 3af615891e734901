"""(acquisition, its cells) → chips. Never sees a label."""
