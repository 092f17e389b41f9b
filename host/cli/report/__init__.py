"""``opzo report``: runs as one HTML file."""
