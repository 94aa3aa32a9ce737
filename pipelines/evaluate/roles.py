"""Roles: which items are queries and which are the gallery, per attribute."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .embedded import Embedded


@dataclass(frozen=True)
class Roles:
    """Who may play what; for an attribute, only the items labelled for it do. Nobody is in his own gallery.

    Attributes:
        query: N×A bool.
        gallery: N×A bool.
    """

    query: NDArray[np.bool_]
    gallery: NDArray[np.bool_]


def leave_one_out(embedded: Embedded) -> Roles:
    """Every item is a query, and all others are its gallery."""
    return Roles(np.ones_like(embedded.known), np.ones_like(embedded.known))


def split(embedded: Embedded) -> Roles:
    """One query to four of the gallery, by the SHA-256 of the id: an item's role never depends on the others."""
    query = np.asarray([_hash(item_id) % 5 == 0 for item_id in embedded.item_ids], bool)[:, None]
    query = np.broadcast_to(query, embedded.known.shape)
    return Roles(query, ~query)


ROLES = {"leave-one-out": leave_one_out, "split": split}


def _hash(item_id: str) -> int:
    return int.from_bytes(hashlib.sha256(item_id.encode()).digest()[:8], "big")
