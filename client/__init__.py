"""Imports a model, compiles it to a program, submits, follows and fetches jobs."""
