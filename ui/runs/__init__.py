"""One viewer's run: steered, paced, recorded."""
