"""How the video differs from its start."""
