"""The data set's own roles, from their file, against a loop over its rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import DuetError, ManifestError
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import choose_roles, leave_one_out, own_roles
from pipelines.evaluate.settings import RetrievalSettings

from . import slow_metrics as slow
from .random_sets import TAXONOMY, random_embedded, slow_ranking, slow_retrieval

Row = tuple[str, str, str, str | None]


def write(path: Path, rows: list[Row], *, with_class: bool = True) -> Path:
    names = ("item_id", "attribute", "role", "class")[: 4 if with_class else 3]
    pq.write_table(pa.table({name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(names)}), path)  # fmt: skip  # noqa: E501
    return path


def random_rows(embedded: Embedded, seed: int) -> list[Row]:
    """Some items as queries about one class or all, some in the gallery; some that nobody knows."""
    rng, rows = np.random.default_rng(seed), []
    for item_id in [*embedded.item_ids, "item of another split"]:
        for attribute in TAXONOMY.attributes:
            if rng.random() < 0.5:
                chosen = rng.permutation([None, *attribute.classes])[: rng.integers(1, 3)]
                rows += [(item_id, attribute.name, "query", name) for name in chosen]
            if rng.random() < 0.7:
                rows.append((item_id, attribute.name, "gallery", str(rng.choice([*attribute.classes, ""])) or None))
    return [*rows, (embedded.item_ids[0], "colour", "query", None)]


@pytest.mark.parametrize("seed", range(3))
def test_queries_and_galleries_are_those_of_the_file(seed: int, tmp_path: Path) -> None:
    embedded = random_embedded(seed, 24)
    rows = random_rows(embedded, seed)
    roles, unknown = own_roles(write(tmp_path / "roles.parquet", rows), embedded)
    place = {item_id: item for item, item_id in enumerate(embedded.item_ids)}
    left_out, asking = 0, {}
    for item_id, attribute, role, name in rows:
        here = item_id in place and attribute in TAXONOMY.names
        if not here or not embedded.known[place[item_id], TAXONOMY.position(attribute)]:
            left_out += 1
        elif role == "query":
            span = TAXONOMY.span(TAXONOMY.position(attribute))
            mine = {m for m in range(span.start, span.stop) if embedded.carried[place[item_id], m]}
            wanted = {m for m in mine if name in (None, TAXONOMY.class_name(m)[1])}
            left_out += not wanted
            asking.setdefault((attribute, place[item_id]), set()).update(wanted)
    assert unknown == left_out > 2
    # The slow evaluation knows no classes asked for: of its queries, those that the file has.
    expected = slow_retrieval(embedded, roles, "class", "predicted")
    for name, scores in evaluate_retrieval(embedded, roles=roles).attributes.items():
        kept = [row for row in expected[name] if row[1] in asking.get((name, row[0]), ())]
        assert 0 < len(kept) < len(expected[name]) or name != "print"
        assert scores.item.tolist() == [item for item, _, _ in kept]
        assert scores.class_index.tolist() == [m for _, m, _ in kept]
        assert scores.values["MAP@all"] == pytest.approx([slow.average_precision(hits) for *_, hits in kept])
        n = TAXONOMY.position(name)
        candidates = {place[row[0]] for row in rows if row[0] in place and row[1:3] == (name, "gallery")}
        gallery = {item for item in candidates if embedded.known[item, n]}
        assert [len(gallery - {item}) for item in scores.item.tolist()] == scores.gallery.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_candidates_may_stand_for_the_classes_listed_alone(seed: int, tmp_path: Path) -> None:
    embedded = random_embedded(seed, 24)
    rows = [row for row in random_rows(embedded, seed) if row[2] == "query" or row[3]]
    path = write(tmp_path / "roles.parquet", rows)
    roles, unknown = own_roles(path, embedded, "listed")
    stands_for: dict[tuple[str, int], set[int]] = {}
    wrong = 0
    for item_id, attribute, role, name in rows:
        if role == "gallery" and item_id in embedded.item_ids:
            item = embedded.item_ids.index(item_id)
            span = TAXONOMY.span(TAXONOMY.position(attribute))
            m = span.start + TAXONOMY.attributes[TAXONOMY.position(attribute)].classes.index(str(name))
            if embedded.carried[item, m]:
                stands_for.setdefault((attribute, item), set()).add(m)
            else:
                wrong += bool(embedded.known[item, TAXONOMY.position(attribute)])
    assert unknown == own_roles(path, embedded)[1] + wrong and wrong > 3
    fewer = 0
    for n, (name, scores) in enumerate(evaluate_retrieval(embedded, roles=roles).attributes.items()):
        span = TAXONOMY.span(n)
        for q, (item, m) in enumerate(zip(scores.item.tolist(), scores.class_index.tolist(), strict=True)):
            guesses = {int(k) + span.start for k in np.flatnonzero(embedded.predicted[item, span])}
            candidates = [other for attribute, other in stands_for if attribute == name and other != item]
            ranked = slow_ranking(embedded, n, item, guesses, sorted(candidates))
            hits = [m in stands_for[name, other] for other in ranked]
            assert scores.gallery[q] == len(candidates)
            assert scores.values["MAP@all"][q] == pytest.approx(slow.average_precision(hits))
            fewer += sum(hits) < embedded.carried[candidates, m].sum()
    assert fewer > 5
    assert roles.digest(embedded) != dataclasses.replace(roles, listed=None).digest(embedded)


def test_without_a_column_of_classes_an_item_asks_for_all_of_its_own(tmp_path: Path) -> None:
    embedded = random_embedded(0, 12, unknown=0)
    rows: list[Row] = [(one, "print", role, None) for one in embedded.item_ids for role in ("query", "gallery")]
    roles, unknown = own_roles(write(tmp_path / "roles.parquet", rows, with_class=False), embedded)
    mine, whole = (evaluate_retrieval(embedded, roles=one).attributes for one in (roles, None))
    assert (mine["print"].values["MAP@all"] == whole["print"].values["MAP@all"]).all()
    assert unknown == len(mine["collar"]) == len(mine["length"]) == 0
    assert roles.asked is None  # so that other rules of relevance may be asked for
    rows = [(one, name, role, "of the gallery" if role == "gallery" else None) for one, name, role, _ in rows]
    assert own_roles(write(tmp_path / "roles.parquet", rows), embedded)[0].asked is None


@pytest.mark.parametrize("relevance", ["any", "exact"])
def test_listed_classes_go_with_queries_about_a_class(relevance: str, tmp_path: Path) -> None:
    settings = RetrievalSettings(labels="listed", relevance=relevance)  # type: ignore[arg-type]
    with pytest.raises(DuetError, match=f"listed goes with --retrieval.relevance class, not {relevance}"):
        choose_roles(tmp_path / "roles.parquet", settings, random_embedded(0, 4))


def test_a_candidate_that_is_to_stand_for_its_listed_class_must_have_one(tmp_path: Path) -> None:
    path = write(tmp_path / "roles.parquet", [("item 0", "collar", "gallery", None)])
    with pytest.raises(ManifestError, match="candidate 'item 0' has no class"):
        own_roles(path, random_embedded(0, 4), "listed")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("item 0", "collar", "judge", None), "a role is 'query' or 'gallery', not 'judge'"),
        (("elsewhere", "collar", "query", None), "none of its 1 rows is about an item"),
    ],
)
def test_faults_are_said(row: Row, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message):
        own_roles(write(tmp_path / "roles.parquet", [row]), random_embedded(0, 4))


def test_a_gallerys_digest_is_of_its_items_and_their_classes() -> None:
    embedded = random_embedded(0, 12)
    roles = leave_one_out(embedded)
    before = roles.digest(embedded)
    order = np.random.default_rng(0).permutation(12)
    shuffled = dataclasses.replace(
        embedded,
        item_ids=[embedded.item_ids[n] for n in order],
        carried=embedded.carried[order],
        known=embedded.known[order],
    )
    assert leave_one_out(shuffled).digest(shuffled) == before
    n, first = 0, int(np.flatnonzero(embedded.known[:, 0])[0])
    carried = embedded.carried.copy()
    carried[first, embedded.taxonomy.span(n)] = ~carried[first, embedded.taxonomy.span(n)]
    gallery = roles.gallery.copy()
    gallery[first, n] = False
    for other in (
        roles.digest(dataclasses.replace(embedded, carried=carried)),
        dataclasses.replace(roles, gallery=gallery).digest(embedded),
    ):
        assert {name for name in before if other[name] != before[name]} == {embedded.taxonomy.names[n]}
