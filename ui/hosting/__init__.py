"""Many viewers, one model: whose turn it is, and where a run goes on."""
