"""Turns tensor expressions into programs of the tensor machine."""
