"""Pictures for people who look at networks: what `opzo.plot` offers."""
