"""Who plays a dispute: an honest challenger, an honest provider, and named liars."""

from __future__ import annotations
