"""The tiny model's world, losses and recipe: `python -m deepforcing.training`."""
