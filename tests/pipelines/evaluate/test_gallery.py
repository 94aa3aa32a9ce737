"""The evaluation's ranking against the service's: one rule, two implementations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.encoder import Encoder
from pipelines.data.images import prepare
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.gallery import Gallery
from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.query import QueryDuet, encode_images
from pipelines.search.request import AttributeCondition, Match, SearchRequest
from tests.pipelines.search.indexed import publish_tables
from tests.pipelines.search.world import TAXONOMY
from tests.pipelines.serve.shop import item_id, make_checkpoint, picture, tables_of

COUNT = 16


def rounded(vector: np.ndarray) -> np.ndarray:
    """Multiples of 2⁻⁸, which float16 holds, and whose products float32 sums exactly, in whatever order."""
    return np.round(vector * 256).astype(np.float32) / 256


def exact(duet: QueryDuet, carried: np.ndarray) -> QueryDuet:
    classes = {m: rounded(vector) for m, vector in duet.class_embeddings.items()}
    return replace(
        duet, attribute_embeddings=rounded(duet.attribute_embeddings), carried=carried, class_embeddings=classes
    )


def in_memory(ids: list[str], duets: list[QueryDuet], encoder: Encoder) -> Embedded:
    predicted = np.stack([duet.carried for duet in duets])
    pair_item, pair_class = predicted.nonzero()
    pairs = zip(pair_item.tolist(), pair_class.tolist(), strict=True)
    return Embedded(
        item_ids=ids,
        attribute_embeddings=np.stack([duet.attribute_embeddings for duet in duets]),
        probabilities=np.stack([duet.probabilities for duet in duets]),
        predicted=predicted,
        pair_item=pair_item,
        pair_class=pair_class,
        class_embeddings=np.stack([duets[i].class_embeddings[m] for i, m in pairs]) if encoder.has_classes else None,
        carried=predicted,
        known=np.ones((len(ids), len(TAXONOMY.names)), bool),
        taxonomy=TAXONOMY,
        class_first=encoder.class_first,
        slack=encoder.slack,
    )


@pytest.mark.parametrize("system", ["m3net", "m3net_a", "asen_v2", "posterior"])
def test_the_evaluation_ranks_as_the_service_does(system: str, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "checkpoint", 0, system=system)
    rng = np.random.default_rng(0)
    carried = np.zeros((COUNT, TAXONOMY.class_count), bool)  # an untrained encoder would predict one class for all
    for n, attribute in enumerate(TAXONOMY.attributes):
        part = carried[:, TAXONOMY.span(n)]
        part[np.arange(COUNT), rng.integers(0, len(attribute.classes), COUNT)] = True
        part |= attribute.multi_label & (rng.random(part.shape) < 0.5)
    seeds = [*range(COUNT - 1), 0]  # the last item is the first one's picture under another id
    images = [prepare(picture(seed), checkpoint.preparation) for seed in seeds]
    plain = encode_images(checkpoint, images, [np.flatnonzero(row) for row in carried])
    duets = [exact(duet, row) for duet, row in zip(plain, carried, strict=True)]
    ids = [item_id(n) for n in rng.permutation(COUNT)]

    index = Index.create(tmp_path / "index")
    tables = tables_of(ids, seeds, duets, checkpoint)
    snapshot = publish_tables(index, checkpoint, str(tmp_path / "checkpoint"), tables)
    engine = Engine(index.reader(snapshot), checkpoint)
    embedded = in_memory(ids, duets, checkpoint.encoder)
    tiers: dict[bool, set[int]] = {False: set(), True: set()}
    for n, name in enumerate(TAXONOMY.names):
        gallery = Gallery(embedded, n, np.arange(COUNT))
        own = carried[:, TAXONOMY.span(n)]
        # The query's own classes are predicted, or given by name; the evaluation takes either as a condition.
        for given in (False, True):
            ranked = gallery.rank(np.arange(COUNT), own & (given or checkpoint.encoder.class_first))
            for item, places in enumerate(ranked):
                names = TAXONOMY.attributes[n].classes if given else ()
                classes = tuple(name for name, has in zip(names, own[item], strict=False) if has)
                condition = AttributeCondition(name, classes, match=Match.ALL)
                request = SearchRequest(item_id=ids[item], attributes=(condition,), page_size=COUNT)
                hits = engine.search(request).hits
                assert [hit.item_id for hit in hits] == [ids[other] for other in gallery.items[places[:-1]]]
                tiers[given] |= {hit.tier for hit in hits}
    assert tiers[True] >= {0, 1, 2}
    assert tiers[False] >= {0, 1, 2} if checkpoint.encoder.class_first else tiers[False] == {0}
