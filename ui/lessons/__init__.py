"""Lessons beside the live player: text, a prediction, an experiment, a comparison, a picture to take home."""
