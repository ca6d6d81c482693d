"""What a run can be set to, what is unlike the paper, what was measured of each policy."""
