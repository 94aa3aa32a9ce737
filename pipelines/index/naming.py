"""Table names: attributes may hold any text, file systems and object stores may not.

A table of a generation lies at ``<generation>.<table>.lance``; ``<table>`` is what the rest of Duet calls it:
``items``, ``attribute-collar``, ``class-collar``, ``global``, ``prototypes``, ``dead_letters``.
"""

from __future__ import annotations

import hashlib
import string

ITEMS = "items"
GLOBAL = "global"
PROTOTYPES = "prototypes"
DEAD_LETTERS = "dead_letters"

# Capitals are encoded too, since some file systems take `Print` and `print` for one name.
_PLAIN = frozenset(string.ascii_lowercase + string.digits + "-_")
_LONGEST = 120


def attribute_table(attribute: str) -> str:
    """Table of an attribute's embeddings."""
    return f"attribute-{encode_name(attribute)}"


def class_table(attribute: str) -> str:
    """Table of the class embeddings of an attribute's classes."""
    return f"class-{encode_name(attribute)}"


def encode_name(name: str) -> str:
    """Any text as ``[a-z0-9_.-]``, different texts differently: other bytes of its UTF-8 become ``.`` and two digits.

    What would be longer than 120 characters keeps its beginning and ends in ``..`` and the text's SHA-256.
    """
    encoded = "".join(c if c in _PLAIN else "".join(f".{byte:02x}" for byte in c.encode()) for c in name)
    if len(encoded) <= _LONGEST:
        return encoded
    return f"{encoded[: _LONGEST - 66]}..{hashlib.sha256(name.encode()).hexdigest()}"
