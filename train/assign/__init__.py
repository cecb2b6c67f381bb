"""Assigners: which point or anchor answers for which object. One file per rule."""

BACKGROUND = -1
"""Instead of an object's index: the point answers for the background."""

IGNORED = -2
"""Instead of an object's index: the point answers for nothing, and has no loss."""
