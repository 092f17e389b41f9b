"""Device families: PLLs, units and tool flows."""
