"""Keepers: each drives one part of the protocol by permissionless calls."""
