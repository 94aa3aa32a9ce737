"""Manipulation: targets, hits and figures against loops over every (item, changes); hand-made cases; the service."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.manipulation import Change, GlobalHead, HeadConfig, Operation, target_classes
from model.taxonomy import Attribute, Taxonomy
from pipelines.evaluate import manipulation, metrics, possible_changes
from pipelines.evaluate.changes import ChangeQueries
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.manipulation import ManipulationScores, evaluate_manipulation
from pipelines.evaluate.manipulation_gallery import ManipulationGallery, match
from pipelines.evaluate.possible_changes import PossibleChanges
from pipelines.evaluate.roles import ROLES, Roles
from pipelines.evaluate.settings import ManipulationSettings
from pipelines.search.engine import Engine
from pipelines.search.request import Manipulation, SearchRequest
from tests.pipelines.search.world import TAXONOMY as WORLD
from tests.pipelines.search.world import make_world

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


def slow_options(embedded: Embedded, item: int, n: int) -> list[Change]:
    """Every change of one attribute of an item."""
    span, mine = embedded.taxonomy.span(n), sets(embedded, item, n)
    others = sorted(set(range(span.start, span.stop)) - mine)
    if not embedded.taxonomy.attributes[n].multi_label:
        return [Change(n, Operation.REPLACE, to_class=m, from_class=min(mine)) for m in others]
    removed = [Change(n, Operation.REMOVE, from_class=m) for m in sorted(mine)] if len(mine) > 1 else []
    return [Change(n, Operation.ADD, to_class=m) for m in others] + removed


def slow_hits(embedded: Embedded, item: int, changes: tuple[Change, ...], candidates: list[int]) -> set[int]:
    """The candidates that are what the changes ask for, from the design's text, a candidate at a time."""
    taxonomy = embedded.taxonomy
    singles = [s for s, attribute in enumerate(taxonomy.attributes) if not attribute.multi_label]
    wanted = {n: sets(embedded, item, n) for n in range(len(taxonomy.attributes))}
    for change in changes:
        gone, come = ({index} - {None} for index in (change.from_class, change.to_class))
        wanted[change.attribute] = wanted[change.attribute] - gone | come
    changed = {change.attribute for change in changes}
    whole = singles if changed & set(singles) else []
    return {
        other
        for other in candidates
        if all(sets(embedded, other, s) == wanted[s] for s in whole)
        and all(wanted[n] <= sets(embedded, other, n) for n in changed - set(singles))
    }


def slow_changes(
    embedded: Embedded, attributes: tuple[int, ...], roles: Roles
) -> list[tuple[int, tuple[Change, ...], set[int]]]:
    """(item, changes, items that are what they ask for) for all changes whose target the gallery has."""
    taxonomy, result = embedded.taxonomy, []
    singles = [s for s, attribute in enumerate(taxonomy.attributes) if not attribute.multi_label]
    needed = {*attributes, *(singles if set(attributes) & set(singles) else [])}
    for item in range(len(embedded)):
        candidates = [
            other
            for other in range(len(embedded))
            if other != item and all(roles.gallery[other, n] and sets(embedded, other, n) for n in attributes)
        ]
        if all(roles.query[item, n] for n in attributes) and all(sets(embedded, item, n) for n in needed):
            for changes in itertools.product(*(slow_options(embedded, item, n) for n in attributes)):
                hits = slow_hits(embedded, item, changes, candidates)
                if hits:
                    result.append((item, changes, hits))
    return result


def slow_scores(
    embedded: Embedded, head: GlobalHead, roles: Roles, item: int, changes: tuple[Change, ...]
) -> dict[str, float]:
    """One query's figures, one candidate at a time; the query is changed as the service does it."""
    taxonomy = embedded.taxonomy
    attributes = [change.attribute for change in changes]
    carried = torch.from_numpy(embedded.carried[item])
    changed = head.change(torch.from_numpy(embedded.attribute_embeddings[item]), carried, changes)
    vector = head(changed[None])[0].numpy()
    assert embedded.global_embeddings is not None
    labelled = (roles.gallery & embedded.known)[:, attributes].all(1)
    others = [other for other in range(len(embedded)) if other != item and labelled[other]]
    others.sort(key=lambda other: (-float(vector @ embedded.global_embeddings[other]), embedded.item_ids[other]))
    target = set(np.flatnonzero(target_classes(carried, changes, taxonomy).numpy()).tolist())
    singles = [s for s, attribute in enumerate(taxonomy.attributes) if not attribute.multi_label]
    multis = set(attributes) - set(singles)
    asked = multis | (set(singles) if set(attributes) & set(singles) else set())
    wanted = {m for m in target if taxonomy.attribute_of_class[m] in asked}
    # An item has one class of a single-label attribute: that is the target's, or it is another.
    gains = [sum(bool(embedded.carried[other, m]) for m in wanted) / len(wanted) for other in others]
    if multis:
        found = {f"Share@{k}": sum(gains[:k]) / len(gains[:k]) for k in KS}
    else:
        hits = slow_hits(embedded, item, changes, others)
        found = {f"Top-{k}": float(bool(hits & set(others[:k]))) for k in KS}
    return found | {f"NDCG@{k}": slow.ndcg(gains, k) for k in KS}


def asked(part: ManipulationScores) -> list[tuple[int, tuple[Change, ...]]]:
    """(item, changes) of every query, in the order of the scores."""
    return [(item, queries.changes(q)) for queries in part.queries for q, item in enumerate(queries.item.tolist())]


def every_change(embedded: Embedded, attributes: tuple[int, ...], roles: Roles) -> ChangeQueries:
    possible = PossibleChanges(embedded, attributes, roles)
    return possible.take(np.arange(len(possible)))


def name(index: int | None) -> str | None:
    """Of a class of the search's worlds."""
    return None if index is None else WORLD.class_name(index)[1]


def key(item: int, changes: tuple[Change, ...]) -> tuple[object, ...]:
    """Sorts queries."""
    return item, *((one.attribute, one.operation, one.to_class or 0, one.from_class or 0) for one in changes)


def check(
    embedded: Embedded,
    head: GlobalHead,
    roles: Roles,
    part: ManipulationScores,
    attributes: list[tuple[int, ...]],
) -> None:
    """The queries are all that the loop finds for some sets of attributes, each with the loop's figures."""
    expected = [entry for chosen in attributes for entry in slow_changes(embedded, chosen, roles)]
    found = asked(part)
    assert part.scores.item.tolist() == [item for item, _ in found]
    places = sorted(range(len(found)), key=lambda q: key(*found[q]))
    expected.sort(key=lambda entry: key(*entry[:2]))
    assert [found[q] for q in places] == [(item, changes) for item, changes, _ in expected]
    assert part.available == len(expected) > 0
    assert part.scores.relevant[places].tolist() == [len(hits) for *_, hits in expected]
    for q, (item, changes, _) in zip(places, expected, strict=True):
        for measure, value in slow_scores(embedded, head, roles, item, changes).items():
            assert part.scores.values[measure][q] == pytest.approx(value), (item, changes, measure)


@pytest.mark.parametrize("role", ["leave-one-out", "split"])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_slow_evaluation(seed: int, role: str) -> None:
    embedded, head = random_case(seed, 40)
    roles = ROLES[role](embedded)
    result = evaluate_manipulation(embedded, head, ManipulationSettings(sizes=(1, 2, 3), ks=KS), roles)
    assert list(result.single) == ["collar", "length"] and list(result.multi) == ["print"]
    for n, name in enumerate(TAXONOMY.names):
        check(embedded, head, roles, (result.single | result.multi)[name], [(n,)])
    check(embedded, head, roles, result.several_single[2], [(0, 2)])
    check(embedded, head, roles, result.several_multi[2], [(0, 1), (1, 2)])
    check(embedded, head, roles, result.several_multi[3], [(0, 1, 2)])
    assert list(result.several_single) == [2]  # there is no third single-label attribute


def random_roles(seed: int, embedded: Embedded) -> Roles:
    """Each item is a query, a candidate, both or neither, for each attribute apart."""
    rng = np.random.default_rng(seed)
    return Roles(rng.random(embedded.known.shape) < 0.9, rng.random(embedded.known.shape) < 0.9)


@pytest.mark.parametrize("seed", range(3))
def test_several_changes_of_any_attributes(seed: int) -> None:
    """Three single-label and two multi-label attributes, with roles of their own."""
    more = Attribute("sleeve", ("long", "none")), Attribute("tags", ("p", "q", "r"), multi_label=True)
    embedded, head = random_case(seed, 40, Taxonomy((*TAXONOMY.attributes, *more)))
    roles = random_roles(seed, embedded)
    result = evaluate_manipulation(embedded, head, ManipulationSettings(sizes=(2, 3), ks=KS), roles)
    assert not result.single and not result.multi and result.single_mean is None
    for size in (2, 3):
        every = list(itertools.combinations(range(5), size))
        without = [chosen for chosen in every if not {1, 4} & set(chosen)]
        check(embedded, head, roles, result.several_single[size], without)
        check(embedded, head, roles, result.several_multi[size], [one for one in every if one not in without])


def test_more_classes_than_a_machine_word_has_bits() -> None:
    wide = Attribute("wide", tuple(f"w{n}" for n in range(70)), multi_label=True)
    embedded, head = random_case(0, 14, Taxonomy((wide, Attribute("tags", ("p", "q", "r"), multi_label=True))))
    rng, span = np.random.default_rng(0), embedded.taxonomy.span(0)
    embedded.carried[:, span] = False
    embedded.carried[:, [0, 63, 64, 69]] = embedded.known[:, :1] & (rng.random((14, 4)) < 0.6)
    embedded.known[:, 0] = embedded.carried[:, span].any(1)
    roles = ROLES["leave-one-out"](embedded)
    result = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS), roles)
    check(embedded, head, roles, result.multi["wide"], [(0,)])
    check(embedded, head, roles, result.several_multi[2], [(0, 1)])


def test_chance_is_the_mean_over_all_orders() -> None:
    more = Attribute("b", ("u", "v")), Attribute("tags", ("p", "q", "r"), multi_label=True)
    taxonomy = Taxonomy((Attribute("a", ("x", "y")), *more))
    checked = {"Top-2": 0, "Share@2": 0}
    for seed in range(12):
        embedded, head = random_case(seed, 6, taxonomy)
        result = evaluate_manipulation(embedded, head, ManipulationSettings(sizes=(1, 2, 3), ks=(2,)))
        every = (result.single, result.multi, result.several_single, result.several_multi)
        for part in itertools.chain.from_iterable(scores.values() for scores in every):
            start = 0
            for queries in part.queries:
                attributes, target = list(queries.attributes), queries.target(embedded.carried)
                for q, item in enumerate(queries.item.tolist()):
                    others = np.flatnonzero(embedded.known[:, attributes].all(1) & (np.arange(6) != item))
                    matches, wanted = match(embedded, others, attributes, target[q : q + 1])
                    orders = np.array(list(itertools.permutations(range(len(others)))))
                    gains = matches[0][orders] / wanted[0]
                    found = {name: values[start + q] for name, values in part.scores.chance.items()}
                    assert found["NDCG@2"] == pytest.approx(metrics.ndcg(gains, 2).mean())
                    if "Top-2" in found:
                        assert found["Top-2"] == pytest.approx((gains[:, :2] == 1).any(1).mean())
                    else:
                        assert found["Share@2"] == pytest.approx(gains[:, :2].mean())
                    checked["Top-2" if "Top-2" in found else "Share@2"] += 1
                start += len(queries)
    assert min(checked.values()) > 10


def test_an_item_with_an_unknown_single_label_neither_asks_nor_matches() -> None:
    embedded, _ = random_case(2, 60)
    roles = ROLES["leave-one-out"](embedded)
    incomplete = ~embedded.known[:, [0, 2]].all(1)
    for attributes in ((0,), (0, 2), (0, 1)):
        queries = every_change(embedded, attributes, roles)
        assert incomplete.any() and len(queries) and not incomplete[queries.item].any()
        target = queries.target(embedded.carried)
        matches, wanted = match(embedded, np.flatnonzero(incomplete), attributes, target)
        assert (matches < wanted[:, None]).all()


def test_the_gallery_is_of_the_items_labelled_for_what_changes() -> None:
    embedded, head = random_case(2, 60)
    roles = ROLES["leave-one-out"](embedded)
    for attributes in ([0], [1], [2], [0, 1], [0, 1, 2]):
        gallery = ManipulationGallery(embedded, head, attributes, roles)
        assert sorted(gallery.items.tolist()) == np.flatnonzero(embedded.known[:, attributes].all(1)).tolist()
        assert len(gallery.items) < 60


def test_chunks_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded, head = random_case(3, 50)

    def run(**settings: int) -> dict[str | int, ManipulationScores]:
        result = evaluate_manipulation(embedded, head, ManipulationSettings(ks=KS, **settings))
        return {**result.single, **result.multi, 2: result.several_single[2], -2: result.several_multi[2]}

    whole = run()
    monkeypatch.setattr(manipulation, "_QUERIES", 7)
    monkeypatch.setattr(possible_changes, "_CELLS", 20)
    pieces, fewer, again, others = run(), run(max_queries=20), run(max_queries=20), run(max_queries=20, seed=1)
    for name, part in whole.items():
        for measure, values in part.scores.values.items():
            assert (pieces[name].scores.values[measure] == values).all()
        everything, some = (asked(parts[name]) for parts in (whole, fewer))
        assert len(some) == len(fewer[name].scores) == 20 < len(everything) == len(set(everything))
        assert fewer[name].available == part.available == len(everything) and set(some) <= set(everything)
        assert asked(pieces[name]) == everything and asked(again[name]) == some != asked(others[name])


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
    assert result.single["a"].available == 6 * 2 and result.single["b"].available == 6
    assert result.single_mean is not None and result.single_mean.values == {"Top-1": 1.0, "NDCG@1": 1.0}
    assert result.single_mean.chance["Top-1"] == pytest.approx(1 / 5)
    assert result.multi_mean is None and not result.several_multi
    both = result.several_single[2]
    assert both.available == 6 * 2 and both.summary.values == {"Top-1": 1.0, "NDCG@1": 1.0}
    assert both.summary.chance["Top-1"] == pytest.approx(1 / 5)


def test_a_query_does_not_make_its_own_target_exist() -> None:
    taxonomy = Taxonomy((Attribute("tags", ("p", "q", "r"), multi_label=True),))
    carried = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    item, index = carried.nonzero()
    vectors = np.ones((3, 1, 2), np.float32)
    known, guess = np.ones((3, 1), bool), carried.astype(np.float32)
    embedded = Embedded(list("abc"), vectors, guess, carried, item, index, None, carried, known, taxonomy)
    found = every_change(embedded, (0,), ROLES["leave-one-out"](embedded))
    # a less q is b; a less p would be q alone, which only a carries; b plus q is a; r beside another is nowhere.
    assert found.item.tolist() == [0, 1]
    assert found.changes(0) == (Change(0, Operation.REMOVE, from_class=1),)
    assert found.changes(1) == (Change(0, Operation.ADD, to_class=1),)
    # Apart from the gallery, a query's own set says nothing of it.
    apart = Roles(np.array([[True], [False], [False]]), np.array([[False], [True], [True]]))
    assert len(PossibleChanges(embedded, (0,), apart)) == 1


def test_the_evaluation_ranks_as_the_service_does() -> None:
    """One query with all of its changes, or several, is one request with as many manipulations."""
    count = 30
    world = make_world(0, count)
    vectors = np.random.default_rng(0).standard_normal(world.merged.shape)  # no ties, which rounding might break
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    world = dataclasses.replace(world, merged=vectors.astype(np.float16))
    engine, head, taxonomy = Engine(world.reader(), world.checkpoint), world.checkpoint.head, world.view.taxonomy
    assert head is not None
    pair_item, pair_class = world.carried.nonzero()
    embedded = Embedded(
        world.ids, world.attributes.astype(np.float32), world.probabilities, world.carried, pair_item, pair_class,
        None, world.carried, np.ones((count, len(taxonomy.names)), bool), taxonomy, world.merged.astype(np.float32),
    )  # fmt: skip
    roles = ROLES["leave-one-out"](embedded)
    operations = set()
    for size in (1, 2, 3):
        for attributes in itertools.combinations(range(3), size):
            possible = PossibleChanges(embedded, attributes, roles)
            queries = possible.take(np.arange(0, len(possible), max(1, len(possible) // 20)))
            gallery = ManipulationGallery(embedded, head, attributes, roles)
            ranked = gallery.rank(queries.item, queries.target(embedded.carried), count)
            for q, places in enumerate(ranked):
                asked = [
                    Manipulation(taxonomy.names[one.attribute], one.operation, name(one.to_class), name(one.from_class))
                    for one in queries.changes(q)
                ]
                operations |= {(size, one.operation) for one in asked}
                item_id = world.ids[queries.item[q]]
                hits = engine.search(SearchRequest(item_id=item_id, manipulations=tuple(asked), page_size=count)).hits
                assert [hit.item_id for hit in hits] == [world.ids[item] for item in gallery.items[places[:-1]]]
    assert operations == set(itertools.product((1, 2, 3), Operation))


def test_items_of_equal_labels_but_other_roles_ask_apart() -> None:
    embedded, _ = random_case(0, 3, Taxonomy((Attribute("tags", ("p", "q", "r"), multi_label=True),)))
    embedded = dataclasses.replace(
        embedded, carried=np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool), known=np.ones((3, 1), bool)
    )
    for candidate, other in ((0, 1), (1, 0)):
        roles = Roles(np.ones((3, 1), bool), np.arange(3)[:, None] != other)
        # Whoever is no candidate finds the one that is; that one would find itself alone.
        found = every_change(embedded, (0,), roles)
        assert found.item.tolist() == [other, other] and candidate not in found.item
        assert [found.changes(q)[0].operation for q in range(2)] == [Operation.REMOVE] * 2
