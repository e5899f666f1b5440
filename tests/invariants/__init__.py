"""Stateful properties in forge, and proof that they bite."""

from __future__ import annotations
