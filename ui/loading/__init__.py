"""Before a large model is there: what it takes, and how far it is."""
