"""What a search answers: hits with their reasons, and how the answer was made; and an item as the catalogue has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_NO_METADATA: Mapping[str, Any] = {}


class ClassProbability(NamedTuple):
    """A class that an item is predicted to carry.

    Args:
        name: of the class.
        probability: in [0, 1].
    """

    name: str
    probability: float


class Contribution(NamedTuple):
    """What one attribute has to do with a hit.

    Args:
        attribute: its name.
        similarity: cosine of the attribute embeddings of the query (as manipulated) and the item.
        class_similarity: mean cosine of the class embeddings over the matched classes; None where the condition
            did not rank by them.
        matched: wanted classes that the item is predicted to carry.
        removed: classes that the query had and the manipulations took away.
        added: classes that the manipulations put in.
    """

    attribute: str
    similarity: float
    class_similarity: float | None = None
    matched: tuple[ClassProbability, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


class Hit(NamedTuple):
    """One item and why it is where it is.

    Args:
        rank: from 1, over all pages.
        tier: sum of the conditions' tiers; 0 without conditions.
        score: mean cosine similarity that it is ranked by within its tier.
        item_id: its id.
        image_uri: "" if the catalogue has the pictures themselves.
        metadata: values that are not missing.
        contributions: in taxonomy order.
    """

    rank: int
    tier: int
    score: float
    item_id: str
    image_uri: str = ""
    metadata: Mapping[str, Any] = _NO_METADATA
    contributions: tuple[Contribution, ...] = ()


@dataclass(frozen=True)
class Item:
    """One item of a snapshot.

    Args:
        item_id: its id.
        image_uri: "" if the catalogue has the pictures themselves.
        thumbnail: a small JPEG; empty if the index was made without.
        metadata: values that are not missing.
        labels: attribute -> classes, as the manifest says; empty where it does not say.
        predictions: attribute -> classes, as the encoder says.
    """

    item_id: str
    image_uri: str = ""
    thumbnail: bytes = b""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    predictions: Mapping[str, tuple[ClassProbability, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchResult:
    """One page of hits.

    Args:
        hits: best first.
        total_candidates: items that pass the filter and the excluded classes.
        exact: whether every candidate was compared.
        snapshot_id: of query and hits.
        model: digest of the checkpoint.
        timings: stage -> seconds, in order.
        next_page_token: "" on the last page.
        total_groups: different groups among the candidates; 0 without `group_by`.
        plan: what was done, or would be, for people to read.
    """

    hits: tuple[Hit, ...]
    total_candidates: int
    exact: bool
    snapshot_id: str
    model: str
    timings: Mapping[str, float]
    next_page_token: str
    total_groups: int = 0
    plan: str = ""
