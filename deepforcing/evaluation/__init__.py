"""The evidence: policies on the same prompts, seeds and noise for a minute and more, measured, tabled, reported."""
