"""What Explain answers, as messages."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.attention import Look, overlay
from pipelines.rpc.duet.v1 import search_pb2
from pipelines.search.explanation import AttributeExplanation, ClassExplanation, Explanation

from .messages import snapshot_name
from .search_messages import write_hit


def write_explanation(explanation: Explanation) -> search_pb2.ExplainResponse:
    """An explanation as a message, without attention."""
    return search_pb2.ExplainResponse(
        plan=explanation.plan,
        hit=None if explanation.hit is None else write_hit(explanation.hit),
        attributes=map(_write_attribute, explanation.attributes),
        changes=[
            search_pb2.ClassChange(attribute=name, removed_classes=gone, added_classes=come)
            for name, (gone, come) in explanation.changes.items()
        ],
        snapshot=snapshot_name(explanation.snapshot_id),
        model=explanation.model,
    )


def write_attention(seen: Look, pixels: NDArray[np.uint8], overlays: bool) -> list[search_pb2.AttentionMap]:
    """Attention maps: those of the attributes first, then those of the predicted classes.

    Args:
        seen: the maps.
        pixels: the prepared picture that they are of, H×W×3.
        overlays: whether the maps are drawn over it, too.
    """
    maps = {(attribute, ""): map_ for attribute, map_ in seen.attributes.items()} | dict(seen.classes)
    return [
        search_pb2.AttentionMap(
            attribute=attribute,
            class_name=name,
            height=map_.shape[0],
            width=map_.shape[1],
            values=map_.ravel().tolist(),
            overlay_png=_png(pixels, map_) if overlays else b"",
        )
        for (attribute, name), map_ in maps.items()
    ]


def _write_attribute(one: AttributeExplanation) -> search_pb2.AttributeExplanation:
    return search_pb2.AttributeExplanation(
        attribute=one.attribute,
        weight=one.weight,
        score_share=one.score_share,
        tier=one.tier,
        similarity=one.similarity,
        classes=map(_write_class, one.classes),
    )


def _write_class(one: ClassExplanation) -> search_pb2.ClassExplanation:
    return search_pb2.ClassExplanation(
        name=one.name,
        carried=one.probability is not None,
        probability=one.probability,
        similarity=one.similarity,
        score_share=one.score_share,
    )


def _png(pixels: NDArray[np.uint8], map_: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    overlay(pixels, map_).save(stream, "PNG")
    return stream.getvalue()
