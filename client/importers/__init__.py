"""Readers of model formats."""
