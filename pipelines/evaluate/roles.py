"""Roles: which items are queries and which are the gallery, per attribute."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import Taxonomy
from pipelines.errors import DuetError, ManifestError

from .settings import RetrievalSettings
from .text_table import read_text_table


@dataclass(frozen=True)
class Roles:
    """Who may play what; for an attribute, only the items labelled for it do. Nobody is in his own gallery.

    Attributes:
        query: N×A bool.
        gallery: N×A bool.
        asked: N×ΣM bool, the classes that an item's queries may be about, of those that it carries; None = all.
        listed: N×ΣM bool, the classes that a candidate stands for, of those that it carries; None = all.
    """

    query: NDArray[np.bool_]
    gallery: NDArray[np.bool_]
    asked: NDArray[np.bool_] | None = None
    listed: NDArray[np.bool_] | None = None

    def stands_for(self, carried: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The classes that candidates count for, of those carried, N×ΣM."""
        return carried if self.listed is None else carried & self.listed

    def digest(self, items: Labelled) -> dict[str, str]:
        """SHA-256 of each attribute's gallery, ids and classes: equal where two evaluations searched the same."""
        result, stands_for = {}, self.stands_for(items.carried)
        for n, name in enumerate(items.taxonomy.names):
            classes = items.taxonomy.attributes[n].classes
            inside = np.flatnonzero(self.gallery[:, n] & items.known[:, n])
            carried = stands_for[inside, items.taxonomy.span(n)]
            rows = [
                [items.item_ids[item], sorted(classes[m] for m in np.flatnonzero(row))]
                for item, row in zip(inside.tolist(), carried, strict=True)
            ]
            result[name] = hashlib.sha256(json.dumps(sorted(rows), ensure_ascii=False).encode()).hexdigest()
        return result


def leave_one_out(labelled: Labelled) -> Roles:
    """Every item is a query, and all others are its gallery."""
    return Roles(np.ones_like(labelled.known), np.ones_like(labelled.known))


def split(labelled: Labelled) -> Roles:
    """One query to four of the gallery, by the SHA-256 of the id: an item's role never depends on the others."""
    query = np.asarray([_hash(item_id) % 5 == 0 for item_id in labelled.item_ids], bool)[:, None]
    query = np.broadcast_to(query, labelled.known.shape)
    return Roles(query, ~query)


class Labelled(Protocol):
    """What roles need of an `Embedded`, or of an item store before it is embedded."""

    @property
    def item_ids(self) -> list[str]: ...  # noqa: D102

    @property
    def carried(self) -> NDArray[np.bool_]: ...  # noqa: D102

    @property
    def known(self) -> NDArray[np.bool_]: ...  # noqa: D102

    @property
    def taxonomy(self) -> Taxonomy: ...  # noqa: D102


def own_roles(path: Path, labelled: Labelled, labels: Literal["all", "listed"] = "all") -> tuple[Roles, int]:
    """The query and gallery lists that a data set brings, and how many of their rows are not about these items.

    Args:
        path: Parquet with the text columns ``item_id``, ``attribute``, ``role`` (query or gallery) and, perhaps,
            ``class``: with one, the item asks for that class alone (a row for each), without one for all that it
            carries.
        labelled: N items. Rows of other items (of another split, say), of attributes that the encoder lacks or the
            item is not labelled for, and of classes that the query is not labelled with are counted.
        labels: what candidates stand for: all classes that they carry, or those that their rows have, too.

    Raises:
        ManifestError: see `read_text_table`; a role of another name; no row is about these items; a candidate without
            a class, if it is to stand for those listed.
    """
    table = read_text_table(path, "a table of roles", ["item_id", "attribute", "role"], ["class"])
    taxonomy = labelled.taxonomy
    items = {item_id: item for item, item_id in enumerate(labelled.item_ids)}
    attributes = {name: n for n, name in enumerate(taxonomy.names)}
    places = {role: np.zeros_like(labelled.known) for role in ("query", "gallery")}
    named = {role: np.zeros_like(labelled.carried) for role in places}
    unknown, narrowed = 0, False
    classes = table["class"].to_pylist() if "class" in table.schema.names else [None] * len(table)
    columns = (table[name].to_pylist() for name in ("item_id", "attribute", "role"))
    for item_id, attribute, role, name in zip(*columns, classes, strict=True):
        if role not in places:
            raise ManifestError(f"{path}: a role is 'query' or 'gallery', not {role!r}")
        if labels == "listed" and role == "gallery" and name is None:
            raise ManifestError(f"{path}: the candidate {item_id!r} has no class that --retrieval.labels listed needs")
        item, n = items.get(item_id), attributes.get(attribute)
        if item is None or n is None or not labelled.known[item, n]:
            unknown += 1
            continue
        span = taxonomy.span(n)
        chosen = np.array([name in (None, one) for one in taxonomy.attributes[n].classes])
        if (role == "query" or labels == "listed") and not (chosen & labelled.carried[item, span]).any():
            unknown += 1
            continue
        named[role][item, span] |= chosen
        places[role][item, n] = True
        narrowed |= role == "query" and name is not None
    if unknown == len(table):
        raise ManifestError(f"{path}: none of its {len(table):,} rows is about an item and attribute that is evaluated")
    asked, listed = named["query"] if narrowed else None, named["gallery"] if labels == "listed" else None
    return Roles(places["query"], places["gallery"], asked, listed), unknown


ROLES = {"leave-one-out": leave_one_out, "split": split}


def choose_roles(path: Path | None, settings: RetrievalSettings, labelled: Labelled) -> tuple[Roles, int]:
    """The roles of a file or else of the settings, and how many rows of the file are left out (`own_roles`).

    Raises:
        DuetError: see `own_roles`; a setting needs a file, or does not look at what the file says.
    """
    relevance, listed = settings.relevance, settings.labels == "listed"
    if listed and relevance != "class":
        raise DuetError(f"--retrieval.labels listed goes with --retrieval.relevance class, not {relevance}")
    if path is None:
        if listed:
            raise DuetError("--retrieval.labels listed: needs --roles, with the candidates' classes")
        return ROLES[settings.roles](labelled), 0
    own, unknown = own_roles(path, labelled, settings.labels)
    if relevance != "class" and own.asked is not None:
        raise DuetError(
            f"{path}: its queries are about classes, which --retrieval.relevance {relevance} does not look at; leave "
            "that out, or the column 'class'"
        )
    return own, unknown


def _hash(item_id: str) -> int:
    return int.from_bytes(hashlib.sha256(item_id.encode()).digest()[:8], "big")
