"""Assigners: which point or anchor answers for which object. One file per rule."""
