"""The link: frames, commands, sessions, replies."""
