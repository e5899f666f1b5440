"""Content-addressed storage: what a job needs, over IPFS, checked against its roots.

``store`` talks to a Kubo RPC, ``node`` is such an RPC that needs nothing installed,
``cache`` keeps what has been checked, ``bundle`` moves tensors, ``locators`` says where a job's
data lies.  IPFS is trusted with nothing but delivery: a CID finds bytes, a committed keccak root
decides whether they are the right ones.
"""

from __future__ import annotations
