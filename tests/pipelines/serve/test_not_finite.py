"""Vectors that nothing can be compared with, as of checkpoints whose weights went bad: refused, and never ranked by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from torch import Tensor

from model.checkpoint import load_checkpoint, save_checkpoint
from model.prototypes import Prototypes
from pipelines.data.images import prepare
from pipelines.index.store import Index
from pipelines.rpc.duet.v1 import search_pb2
from pipelines.search.query import QueryDuet, encode_images
from pipelines.serve import batching
from pipelines.serve.client import Client
from tests.pipelines.search.indexed import publish_tables

from .abuse import OK, Outcome, call, outcome
from .shop import Shop, item_id, picture, serving, tables_of

FAILED = Outcome(grpc.StatusCode.INTERNAL, "MODEL_FAILED")
RED: Any = {"attribute": "colour", "classes": ["red"]}
CHANGE: Any = {"attribute": "colour", "to_class": "red"}
BY_ITEM = search_pb2.SearchRequest(item_id=item_id(1))
REQUESTS: dict[str, tuple[str, Any]] = {
    "picture": ("Search", search_pb2.SearchRequest(image=picture(3))),
    "item": ("Search", BY_ITEM),
    "class": ("Search", search_pb2.SearchRequest(attributes=[RED])),
    "change": ("Search", search_pb2.SearchRequest(item_id=item_id(1), manipulations=[CHANGE])),
    "changed picture": ("Search", search_pb2.SearchRequest(image=picture(3), manipulations=[CHANGE])),
    "embed": ("Embed", search_pb2.EmbedRequest(image=picture(3))),
}


def spoil(tensors: Sequence[Tensor], value: float) -> None:
    """Make all of them zero, or one number what is no number."""
    with torch.no_grad():
        if value:
            tensors[0][(0,) * tensors[0].dim()] = value
        else:
            for tensor in tensors:
                tensor.zero_()


@contextmanager
def damaged(shop: Shop, folder: Path, part: str, value: float) -> Iterator[str]:
    """A server of items that were embedded well, with a checkpoint that is spoilt since; its target."""
    good, fresh = shop.checkpoint, load_checkpoint(shop.checkpoint_folder)
    assert fresh.head is not None and fresh.prototypes is not None and fresh.prototypes.class_level is not None
    attribute_level, class_level = fresh.prototypes.attribute.clone(), fresh.prototypes.class_level.clone()
    tensors: dict[str, list[Tensor]] = {
        "encoder": list(fresh.encoder.parameters()),
        "head": [fresh.head.get_parameter("project.weight")],
        "prototype": [attribute_level[-1]],
        "class prototype": [class_level[-1]],
    }
    spoil(tensors[part], value)
    prototypes = Prototypes(attribute_level, class_level, fresh.prototypes.counts)
    save_checkpoint(folder / "spoilt", fresh.encoder, fresh.preparation, prototypes=prototypes, head=fresh.head)
    spoilt = load_checkpoint(folder / "spoilt")
    seeds = range(6)
    duets = encode_images(good, [prepare(picture(seed), good.preparation) for seed in seeds], [()] * len(seeds))
    index = Index.create(folder / "index")
    tables = tables_of([item_id(seed) for seed in seeds], seeds, duets, good)
    publish_tables(index, spoilt, str(folder / "spoilt"), tables)
    with serving(Shop(index, spoilt, folder / "spoilt")) as running, Client(running.target) as client:
        client.published()
        yield running.target


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
@pytest.mark.parametrize(
    ("part", "failing"),
    [
        ("encoder", {"picture", "changed picture", "embed"}),
        ("head", {"change", "changed picture", "embed"}),
        ("prototype", {"class"}),
        ("class prototype", {"class"}),
    ],
)
def test_a_vector_that_is_not_finite_or_zero_is_never_ranked_by(
    shop: Shop, tmp_path: Path, part: str, value: float, failing: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    with damaged(shop, tmp_path, part, value) as target, grpc.insecure_channel(target) as channel:
        outcomes = {name: outcome(channel, *request) for name, request in REQUESTS.items()}
        assert outcomes == {name: FAILED if name in failing else OK for name in REQUESTS}
        answer = call(channel, "Search", BY_ITEM)
        assert len(answer.hits) == 5 and all(hit.score > 0 for hit in answer.hits)
    fault = "is not finite" if value else "is zero"
    assert len([record for record in caplog.records if fault in record.message]) == len(failing)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("level", ["attribute", "class"])
def test_a_vector_of_another_width_is_never_ranked_by(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    def narrow(*arguments: Any) -> list[QueryDuet]:
        duets = encode_images(*arguments)
        if level == "attribute":
            return [replace(duet, attribute_embeddings=duet.attribute_embeddings[:, 1:]) for duet in duets]
        return [replace(duet, class_embeddings={n: v[1:] for n, v in duet.class_embeddings.items()}) for duet in duets]

    monkeypatch.setattr(batching, "encode_images", narrow)
    failing = {"picture", "changed picture", "embed"}
    with (
        serving(shop) as running,
        Client(running.target) as client,
        grpc.insecure_channel(running.target) as channel,
    ):
        client.published()
        outcomes = {name: outcome(channel, *request) for name, request in REQUESTS.items()}
    assert outcomes == {name: FAILED if name in failing else OK for name in REQUESTS}
    assert len([record for record in caplog.records if "and the index' embeddings have" in record.message]) == 3
