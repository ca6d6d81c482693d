"""The page as a whole: what is on it, and where."""
