from __future__ import annotations

import random

import numpy as np
import pyarrow.compute as pc
import pytest

from pipelines.index.committer import Committer
from pipelines.index.naming import ITEMS, attribute_table
from pipelines.index.upkeep import LARGEST, UpkeepSettings, maintain, merged_from
from pipelines.index.vector_index import VECTOR_INDEX, VectorIndexSettings, nearest

from .support import TAXONOMY, Item, assert_tables_hold, receipt

TABLE = attribute_table(TAXONOMY.names[0])


def test_fragments_stay_few_and_rows_are_rewritten_a_logarithmic_number_of_times() -> None:
    dice = random.Random(0)
    limit, sizes, rewritten, total, most = 8, [], 0, 0, 0
    for _ in range(20_000):
        sizes.append(dice.choice([1, 1, 5, 40, 256]))
        total += sizes[-1]
        first = merged_from(sizes, limit)
        if first is not None:
            assert len(sizes) - first >= limit
            rewritten += sum(sizes[first:])
            sizes[first:] = [sum(sizes[first:])]
        most = max(most, len(sizes))
    assert sum(sizes) == total
    assert most < limit + total.bit_length()
    assert rewritten < total * total.bit_length()


def test_a_full_fragment_is_not_merged_again() -> None:
    sizes = [LARGEST, LARGEST, *[LARGEST // 2] * 40]
    assert merged_from(sizes, 4) == 2
    assert merged_from([LARGEST - 7] * 60 + [256] * 4, 8) is None, "some of their rows were deleted"
    assert merged_from([], 2) is None
    assert merged_from([3] * 5, 4) is None


@pytest.mark.parametrize("rows", [300])
def test_upkeep_changes_no_row_and_what_is_new_is_found(committer: Committer, rows: int) -> None:
    """Against the oracle: after every round of upserts, deletes and upkeep the tables hold what they should."""
    vector = VectorIndexSettings(rows=256, unindexed_share=0.1, parts=2)
    settings = UpkeepSettings(fragments=3, unindexed_share=0.1, deleted_share=0.3, vector=vector)
    dice, items = random.Random(1), {f"i{n}": Item(n % 8) for n in range(rows)}
    committer.commit([receipt(committer, upserts=items)])
    done = maintain(committer, settings)
    assert TABLE in done.built and ITEMS in done.indexed
    compacted, extended = set(), set()
    for _ in range(14):
        upserts = {f"i{n}": Item(dice.randrange(8)) for n in dice.sample(range(2 * rows), 25)}
        deletes = dice.sample(sorted(set(items) - set(upserts)), 12)
        committer.commit([receipt(committer, upserts=upserts, deletes=deletes)])
        items = {key: item for key, item in {**items, **upserts}.items() if key not in deletes}
        report = maintain(committer, settings)
        compacted.update(report.compacted)
        extended.update([*report.extended, *report.indexed])
        assert_tables_hold(committer, items)
        dataset = committer.datasets[TABLE]
        sizes = [fragment.count_rows() for fragment in dataset.get_fragments()]
        assert len(sizes) < 3 + sum(sizes).bit_length()
        assert dataset.stats.index_stats(VECTOR_INDEX)["num_indices"] <= 3
        item_id = dice.choice(sorted(upserts))
        query = items[item_id].vector(TABLE, "", 256)
        found = nearest(dataset, query, len(items))["item_id"].to_pylist()
        assert sorted(found) == sorted(items)
        own = nearest(dataset, query, 3, where=pc.field("item_id") == item_id)["item_id"].to_pylist()
        assert (
            own
            == [item_id]
            == nearest(dataset, query, 1, where=pc.field("item_id") == item_id, exact=True)["item_id"].to_pylist()
        )
    assert set(committer.generation.committed_tables) - compacted <= {"dead_letters"}
    assert TABLE in extended and ITEMS in extended


def test_an_index_is_trained_anew_when_the_table_has_grown(committer: Committer) -> None:
    settings = UpkeepSettings(vector=VectorIndexSettings(rows=256, growth=1.5))

    def fitting(rows: int) -> int:
        return round(np.sqrt(rows * np.sqrt(1.5)))

    def partitions() -> int:
        return len(committer.datasets[TABLE].stats.index_stats(VECTOR_INDEX)["indices"][0]["centroids"])

    committer.commit([receipt(committer, upserts={f"i{n}": Item(n % 8) for n in range(260)})])
    maintain(committer, settings)
    assert partitions() == fitting(261)
    rows, inspected = 261, set[str]()
    while TABLE not in inspected:
        before = partitions()
        committer.commit([receipt(committer, upserts={f"j{rows + n}": Item(n % 8) for n in range(150)})])
        rows += 150
        report = maintain(committer, settings)
        assert len(report.inspected) == 1 and set(report.inspected) <= set(report.extended)
        inspected.update(report.inspected)
        assert partitions() == (fitting(rows) if TABLE in report.inspected and rows > 390 else before)
    assert rows > 390, "it was not outgrown"
