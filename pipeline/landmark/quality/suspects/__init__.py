"""Labels and events that the pixels contradict (`landmark check --suspects`)."""
