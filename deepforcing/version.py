"""The version that files and pages name."""

__version__ = "0.1.0"
