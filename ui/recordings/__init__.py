"""Recorded runs: which there are, how they are opened, sent and linked to."""
