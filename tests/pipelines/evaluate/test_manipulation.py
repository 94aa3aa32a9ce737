"""Manipulation: targets, hits and figures against loops over every (item, change); hand-made cases."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.manipulation import Change, GlobalHead, HeadConfig, Operation, target_classes
from model.taxonomy import Attribute, Taxonomy
from pipelines.evaluate import manipulation, metrics
from pipelines.evaluate.changes import find_changes
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.roles import ROLES, Roles
from pipelines.evaluate.settings import ManipulationSettings

from . import slow_metrics as slow
from .random_sets import TAXONOMY, random_embedded

KS = (1, 3, 8)


def random_case(seed: int, items: int, taxonomy: Taxonomy = TAXONOMY) -> tuple[Embedded, GlobalHead]:
    """Real-valued vectors (no ties) and a head with random memory."""
    torch.manual_seed(seed)
    head = GlobalHead(HeadConfig(), taxonomy, 8, 12).eval().requires_grad_(False)
    head.memory.copy_(torch.randn(head.memory.shape))
    embeddings = F.normalize(torch.randn(items, len(taxonomy.attributes), 8), dim=-1)
    return dataclasses.replace(
        random_embedded(seed, items, taxonomy=taxonomy),
        attribute_embeddings=embeddings.numpy(),
        global_embeddings=head(embeddings).numpy(),
    ), head


def sets(embedded: Embedded, item: int, n: int) -> frozenset[int]:
    """Class indices that the item is labelled with."""
    span = embedded.taxonomy.span(n)
    return frozenset(m for m in range(span.start, span.stop) if embedded.carried[item, m])


def slow_changes(embedded: Embedded, n: int, roles: Roles) -> list[tuple[int, Change, set[int]]]:
    """(item, change, items that are what it asks for) for every change whose target the gallery has."""
    taxonomy, result = embedded.taxonomy, []
    singles = [s for s, attribute in enumerate(taxonomy.attributes) if not attribute.multi_label]
    span = taxonomy.span(n)
    for item in range(len(embedded)):
        others = [other for other in range(len(embedded)) if other != item and roles.gallery[other, n]]
        mine = sets(embedded, item, n)
        if not roles.query[item, n] or not mine:
            continue
        if not taxonomy.attributes[n].multi_label:
            if not all(sets(embedded, item, s) for s in singles):
                continue
            for m in sorted(set(range(span.start, span.stop)) - mine):
                wanted = {s: sets(embedded, item, s) for s in singles} | {n: frozenset([m])}
                hits = {o for o in others if all(sets(embedded, o, s) == wanted[s] for s in singles)}
                result.append((item, Change(n, Operation.REPLACE, to_class=m, from_class=min(mine)), hits))
        else:
            for m in sorted(set(range(span.start, span.stop)) - mine):
                hits = {o for o in others if mine | {m} <= sets(embedded, o, n)}
                result.append((item, Change(n, Operation.ADD, to_class=m), hits))
            for m in sorted(mine) if len(mine) > 1 else []:
                hits = {o for o in others if mine - {m} <= sets(embedded, o, n)}
                result.append((item, Change(n, Operation.REMOVE, from_class=m), hits))
    return [entry for entry in result if entry[2]]


def slow_scores(
    embedded: Embedded, head: GlobalHead, n: int, roles: Roles, item: int, change: Change
) -> dict[str, float]:
    """One query's figures, one candidate at a time."""
    taxonomy = embedded.taxonomy
    carried = torch.from_numpy(embedded.carried[item])
    changed = head.change(torch.from_numpy(embedded.attribute_embeddings[item]), carried, [change])
    vector = head(changed[None])[0].numpy()
    assert embedded.global_embeddings is not None
    labelled = roles.gallery & embedded.known
    others = [other for other in range(len(embedded)) if other != item and labelled[other, n]]
    others.sort(key=lambda other: (-float(vector @ embedded.global_embeddings[other]), embedded.item_ids[other]))
    target = target_classes(carried, [change], taxonomy).numpy()
    if taxonomy.attributes[n].multi_label:
        span = taxonomy.span(n)
        wanted = {m for m in range(span.start, span.stop) if target[m]}
        gains = [len(wanted & sets(embedded, other, n)) / len(wanted) for other in others]
        found = {f"Share@{k}": sum(gains[:k]) / len(gains[:k]) for k in KS}
    else:
        singles = [s for s, attribute in enumerate(taxonomy.attributes) if not attribute.multi_label]
        wants = {s: {m for m in range(taxonomy.offsets[s], taxonomy.offsets[s + 1]) if target[m]} for s in singles}
        same = [[sets(embedded, other, s) == wants[s] for s in singles] for other in others]
        gains = [sum(row) / len(singles) for row in same]
        found = {f"Top-{k}": float(any(all(row) for row in same[:k])) for k in KS}
    return found | {f"NDCG@{k}": slow.ndcg(gains, k) for k in KS}


def key(item: int, change: Change) -> tuple[int, str, int, int]:
    """Sorts changes."""
    return item, change.operation, change.to_class or 0, change.from_class or 0


@pytest.mark.parametrize("role", ["leave-one-out", "split"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_slow_evaluation(seed: int, role: str) -> None:
    embedded, head = random_case(seed, 40)
    roles = ROLES[role](embedded)
    result = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS), roles)
    assert list(result.single) == ["collar", "length"] and list(result.multi) == ["print"]
    for n, name in enumerate(TAXONOMY.names):
        part = (result.single | result.multi)[name]
        expected = slow_changes(embedded, n, roles)
        asked = [(int(item), part.queries.change(q)) for q, item in enumerate(part.queries.item)]
        places = sorted(range(len(asked)), key=lambda q: key(*asked[q]))
        expected.sort(key=lambda entry: key(*entry[:2]))
        assert [asked[q] for q in places] == [(item, change) for item, change, _ in expected]
        assert part.queries.available == len(expected) > 0
        assert part.scores.relevant[places].tolist() == [len(hits) for *_, hits in expected]
        for q, (item, change, _) in zip(places, expected, strict=True):
            for measure, value in slow_scores(embedded, head, n, roles, item, change).items():
                assert part.scores.values[measure][q] == pytest.approx(value), (name, item, change, measure)


def test_chance_is_the_mean_over_all_orders() -> None:
    taxonomy = Taxonomy((Attribute("a", ("x", "y")), Attribute("tags", ("p", "q", "r"), multi_label=True)))
    embedded, head = random_case(5, 6, taxonomy)
    result = evaluate_manipulation(embedded, head, ManipulationSettings(ks=(2,)))
    checked = 0
    for n, part in ((0, result.single["a"]), (1, result.multi["tags"])):
        target = part.queries.target(embedded.carried)
        for q, item in enumerate(part.queries.item):
            others = np.array([other for other in range(6) if other != item and embedded.known[other, n]])
            matches, wanted = manipulation.match(embedded, others, n, target[q : q + 1])
            orders = np.array(list(itertools.permutations(range(len(others)))))
            gains = matches[0][orders] / wanted[0]
            assert part.scores.chance["NDCG@2"][q] == pytest.approx(metrics.ndcg(gains, 2).mean())
            if n == 0:
                assert part.scores.chance["Top-2"][q] == pytest.approx((gains[:, :2] == 1).any(1).mean())
            else:
                assert part.scores.chance["Share@2"][q] == pytest.approx(gains[:, :2].mean())
            checked += 1
    assert checked > 10


def test_an_item_with_an_unknown_single_label_neither_asks_nor_matches() -> None:
    embedded, _ = random_case(2, 60)
    roles = ROLES["leave-one-out"](embedded)
    queries = find_changes(embedded, 0, roles, 10**6, 0)
    incomplete = ~embedded.known[:, [0, 2]].all(1)
    assert incomplete.any() and not incomplete[queries.item].any()
    matches, wanted = manipulation.match(embedded, np.flatnonzero(incomplete), 0, queries.target(embedded.carried))
    assert (matches < wanted[:, None]).all()


def test_the_gallery_is_of_the_items_labelled_for_the_attribute() -> None:
    embedded, head = random_case(2, 60)
    roles = ROLES["leave-one-out"](embedded)
    for n in range(len(TAXONOMY.names)):
        gallery = manipulation.ManipulationGallery(embedded, head, n, roles)
        assert sorted(gallery.items.tolist()) == np.flatnonzero(embedded.known[:, n]).tolist()
        assert len(gallery.items) < 60


def test_chunks_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded, head = random_case(3, 50)
    whole = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS))
    monkeypatch.setattr(manipulation, "_QUERIES", 7)
    pieces = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS))
    fewer = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS, max_queries=20))
    again = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS, max_queries=20, seed=1))
    for name, part in (whole.single | whole.multi).items():
        for measure, values in part.scores.values.items():
            assert ((pieces.single | pieces.multi)[name].scores.values[measure] == values).all()
        some, others = (fewer.single | fewer.multi)[name], (again.single | again.multi)[name]
        assert len(some.queries) == len(some.scores) == 20 and some.queries.available == len(part.queries)
        assert not np.array_equal(some.queries.item, others.queries.item)


def test_the_mean_is_over_attributes() -> None:
    embedded, head = random_case(4, 50)
    result = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS))
    assert result.single_mean is not None
    parts = [part.scores.values["Top-3"].mean() for part in result.single.values()]
    assert result.single_mean.values["Top-3"] == pytest.approx(np.mean(parts))


def test_a_head_that_answers_the_change_scores_one() -> None:
    """Two attributes, one-hot vectors, memory = the classes' own vectors: the changed query equals its target."""
    taxonomy = Taxonomy((Attribute("a", ("0", "1", "2")), Attribute("b", ("0", "1"))))
    head = GlobalHead(HeadConfig(), taxonomy, 3, 6).eval().requires_grad_(False)
    head.project.weight.copy_(torch.eye(6))
    head.memory.copy_(torch.eye(3)[[0, 1, 2, 0, 1]])
    labels = np.array(list(itertools.product(range(3), range(2))))
    vectors = torch.eye(3)[torch.from_numpy(labels)]
    carried = np.zeros((6, 5), bool)
    carried[np.arange(6), labels[:, 0]] = carried[np.arange(6), 3 + labels[:, 1]] = True
    item, index = carried.nonzero()
    embedded = Embedded(
        list("abcdef"), vectors.numpy(), carried.astype(np.float32), carried, item, index, None, carried,
        np.ones((6, 2), bool), taxonomy, head(vectors).numpy(),
    )  # fmt: skip
    result = evaluate_manipulation(embedded, head, ManipulationSettings(ks=(1,)))
    assert result.single["a"].queries.available == 6 * 2 and result.single["b"].queries.available == 6
    assert result.single_mean is not None and result.single_mean.values == {"Top-1": 1.0, "NDCG@1": 1.0}
    assert result.single_mean.chance["Top-1"] == pytest.approx(1 / 5)
    assert result.multi_mean is None


def test_a_query_does_not_make_its_own_target_exist() -> None:
    taxonomy = Taxonomy((Attribute("tags", ("p", "q", "r"), multi_label=True),))
    carried = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    item, index = carried.nonzero()
    vectors = np.ones((3, 1, 2), np.float32)
    known, guess = np.ones((3, 1), bool), carried.astype(np.float32)
    embedded = Embedded(list("abc"), vectors, guess, carried, item, index, None, carried, known, taxonomy)
    found = find_changes(embedded, 0, ROLES["leave-one-out"](embedded), 10, 0)
    # a less q is b; a less p would be q alone, which only a carries; b plus q is a; r beside another is nowhere.
    asked = [(int(item), found.change(q)) for q, item in enumerate(found.item)]
    assert asked == [(0, Change(0, Operation.REMOVE, from_class=1)), (1, Change(0, Operation.ADD, to_class=1))]
    # Apart from the gallery, a query's own set says nothing of it.
    apart = Roles(np.array([[True], [False], [False]]), np.array([[False], [True], [True]]))
    assert len(find_changes(embedded, 0, apart, 10, 0)) == 1
