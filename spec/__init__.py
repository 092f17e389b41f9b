"""What all sides agree on: number formats, network description, register map, command set."""
