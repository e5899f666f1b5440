"""Errors of the storage package; each message is one line that says what to do."""

from __future__ import annotations

from protocol.spec.errors import AssayError


class StorageError(AssayError):
    """Something stored cannot be written, found, read or trusted."""


class StorageConfigError(StorageError):
    """The configuration of a store, a cache or a node cannot be used."""


class IpfsUnavailable(StorageError):
    """No IPFS RPC answers at the configured address, or it breaks off."""


class IpfsSilent(IpfsUnavailable):
    """The IPFS RPC accepts a request and does not answer in time."""


class IpfsRefused(StorageError):
    """The IPFS RPC answered a request with an error."""


class ContentMissing(StorageError):
    """No connected node delivered the content in time."""


class ContentMismatch(StorageError):
    """Bytes were delivered, and they are not what was committed to."""


class ContentTooLarge(StorageError):
    """Content is longer than the reader is willing to take."""


class ContentTooSlow(StorageError):
    """Content comes, but not within the time that the reader grants."""


class MalformedCid(StorageError):
    """Text or bytes that are not a content identifier this project uses."""


class MalformedNode(StorageError):
    """A block that is not a node of a UnixFS file."""


class MalformedManifest(StorageError):
    """Bytes that are not the canonical manifest of a list of tensors."""


class MalformedLocators(StorageError):
    """Bytes that are not canonical locators."""


class NodeError(StorageError):
    """The embedded IPFS node cannot start or has stopped."""
