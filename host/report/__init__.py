"""Reports of a run for people: progress, tables, pictures."""
