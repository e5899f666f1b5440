"""The chain: the only code that talks to an EVM node.

``config`` says which node, contracts and key; ``chain.Chain`` reads the contracts at one block;
``history.History`` follows their logs through reorgs; ``transactions.Sender`` is the one path that
simulates, signs, sends, replaces and waits.  What the logs mean (``book``, with ``disputes`` and
``demands``), ``contracts`` (calls as data) and ``fees`` are pure.
"""

from __future__ import annotations
