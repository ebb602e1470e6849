"""Areas."""

UNITS = frozenset({"mm", "cm", "m", "km"})


def area(width, height, unit="m"):
    """Returns the area of a rectangle."""
    if unit not in UNITS:
        raise ValueError(unit)
    return width * height
