"""What happens when: passes, their order, and the commands that they give to the lanes."""
