"""Examples show what the figures count, and never the query among its own hits."""

from __future__ import annotations

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from pipelines.data.item_store import ItemStore
from pipelines.evaluate.embedded import Embedded, embed
from pipelines.evaluate.examples import manipulation_examples, retrieval_examples
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import leave_one_out
from pipelines.evaluate.settings import RetrievalSettings, SheetSettings


@pytest.fixture(scope="module")
def embedded(checkpoint: Checkpoint, store: ItemStore) -> Embedded:
    return embed(checkpoint, checkpoint.preparation, store)


def labels(embedded: Embedded, item: int, name: str) -> set[str]:
    span = embedded.taxonomy.span(embedded.taxonomy.position(name))
    return {embedded.taxonomy.class_name(m)[1] for m in range(span.start, span.stop) if embedded.carried[item, m]}


@pytest.mark.parametrize("hits", [5, 100])
def test_retrieval(embedded: Embedded, hits: int) -> None:
    result = evaluate_retrieval(embedded, RetrievalSettings(ks=(5,)))
    groups = retrieval_examples(embedded, result, leave_one_out(embedded), SheetSettings(rows=4, hits=hits))
    assert [group.title.split(" — ")[0] for group in groups] == ["colour", "shape", "marks"]
    for group, scores in zip(groups, result.attributes.values(), strict=True):
        name = group.title.split(" — ")[0]
        assert len(group.rows) == 4
        for row in group.rows:
            wanted = row.caption.split("\n")[0].removeprefix(f"{name}: ")
            assert len(row.hits) == min(hits, scores.gallery[0]) and row.query.item not in [c.item for c in row.hits]
            for cell in row.hits:
                assert cell.hit == (wanted in labels(embedded, cell.item, name))
                assert set(cell.text.split(", ")) == labels(embedded, cell.item, name)
            if hits == 5:  # the share of hits shown is what the figure says
                of_query = (scores.item == row.query.item) & (scores.values["Recall@5"] * scores.relevant == sum(bool(c.hit) for c in row.hits))  # fmt: skip  # noqa: E501
                assert of_query.any()


@pytest.mark.parametrize("hits", [5, 100])
def test_manipulation(embedded: Embedded, checkpoint: Checkpoint, hits: int) -> None:
    assert checkpoint.head is not None
    roles = leave_one_out(embedded)
    result = evaluate_manipulation(embedded, checkpoint.head, roles=roles)
    groups = manipulation_examples(embedded, checkpoint.head, result, roles, SheetSettings(rows=6, hits=hits))
    assert [group.title.split(" — ")[0] for group in groups[3:]] == ["2 attributes", "2 attributes"]
    for group in groups[:3]:
        name = group.title.split(" — ")[0]
        others = int(embedded.known[:, embedded.taxonomy.position(name)].sum()) - 1
        for row in group.rows:
            assert row.query.item not in [cell.item for cell in row.hits] and len(row.hits) == min(hits, others)
            asked = row.caption.removeprefix(f"{name}:\n")
            for cell in row.hits:
                theirs = labels(embedded, cell.item, name)
                if "→" in asked:
                    other = {"colour": "shape", "shape": "colour"}[name]
                    same = labels(embedded, cell.item, other) == labels(embedded, row.query.item, other)
                    assert cell.hit == (theirs == {asked.split(" → ")[1]} and same)
                else:
                    sign, changed = asked.split(" ")
                    target = labels(embedded, row.query.item, name)
                    target = target | {changed} if sign == "+" else target - {changed}
                    assert cell.hit == (target <= theirs)


def test_several_manipulations(embedded: Embedded, checkpoint: Checkpoint) -> None:
    assert checkpoint.head is not None
    roles = leave_one_out(embedded)
    result = evaluate_manipulation(embedded, checkpoint.head, roles=roles)
    groups = manipulation_examples(embedded, checkpoint.head, result, roles, SheetSettings(rows=6, hits=50))[3:]
    for group, multi in zip(groups, (False, True), strict=True):
        assert len(group.rows) == 6
        for row in group.rows:
            lines = row.caption.split("\n")
            asked = dict(zip([line.removesuffix(":") for line in lines[::2]], lines[1::2], strict=True))
            assert len(asked) == 2 and ("marks" in asked) == multi
            known = [embedded.known[:, embedded.taxonomy.position(name)] for name in asked]
            assert len(row.hits) == int(np.logical_and.reduce(known).sum()) - 1
            target = {name: labels(embedded, row.query.item, name) for name in ("colour", "shape", "marks")}
            for name, text in asked.items():
                come, gone = set(text.split(" → ")[1:]), set(text.split(" → ")[:1]) if "→" in text else set()
                come |= {text.removeprefix("+ ")} if "+" in text else set()
                gone |= {text.removeprefix("− ")} if "−" in text else set()
                target[name] = target[name] - gone | come
            for cell in row.hits:
                theirs = {name: labels(embedded, cell.item, name) for name in target}
                same = all(theirs[name] == target[name] for name in ("colour", "shape"))
                assert cell.hit == (same and (not multi or target["marks"] <= theirs["marks"]))
                assert cell.text.split(" ", 1)[1].split("; ")[0] == ", ".join(theirs[next(iter(asked))])
        assert any(cell.hit for row in group.rows for cell in row.hits)
