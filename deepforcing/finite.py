"""A model whose numbers are none (NaN, infinity) makes black pictures or garbage: better to say so and to end."""

from __future__ import annotations

from .models.components import ModelError


def check_finite(all_finite: bool, maker: str, index: int) -> None:
    """Raises ModelError, which says what that usually means, unless all numbers that `maker` made are finite."""
    if not all_finite:
        raise ModelError(
            f"the {maker} made no finite numbers for chunk {index}, so nothing can be shown from here on. Usually its "
            "weights are broken (fetch the file again), or the precision is too small for them (take weights in "
            "bfloat16 or float32)"
        )
