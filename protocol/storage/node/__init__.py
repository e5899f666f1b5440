"""An IPFS node that needs nothing installed: Kubo as a shared library behind Kubo's own RPC.

``python -m protocol.storage.node --repo DIR`` serves the part of the RPC that Assay uses on
loopback, in a private swarm.  It runs in a process of its own, because a Go runtime does not
survive a fork and owns threads that Python does not know.

- ``libkubo``  the C functions, typed
- ``repo``     directory, configuration, blocks on disk
- ``pins``     the journal of what the node keeps
- ``kubo``     the running node: one gate to the library, restarts, garbage collection
- ``fetch``    missing blocks, each wanted once, with deadlines
- ``reader``   files as streams of bytes
- ``body``     request bodies: chunked transfer, multipart
- ``rpc``      the HTTP server
"""

from __future__ import annotations
