"""The evidence as a page with pictures, beside what the paper found."""

from .report import write_report

__all__ = ["write_report"]
