"""Contact sheets of a comparison: which queries, whose items, and what is said where the pictures are gone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.errors import DuetError
from pipelines.evaluate.compare import sheets
from pipelines.evaluate.compare.runs import System, join_seeds, load_run
from pipelines.evaluate.compare.sheets import DIFFER, DRAWN, choose, draw_sheets
from pipelines.evaluate.contact_sheet import Group, draw_sheet
from pipelines.evaluate.neighbours import read_neighbours, save_neighbours
from pipelines.evaluate.query_table import of_task

from ..random_sets import TAXONOMY
from .made_runs import colour_of, system, write_manifest, write_run


def two_systems(folder: Path) -> list[System]:
    manifest = write_manifest(folder / "items.parquet", system(0))
    more = {"manifest": [str(manifest)], "cache": folder / "cache"}
    runs = [
        load_run(write_run(folder / name, system(seed, wrong=0.1 + 0.4 * seed), name, **more))
        for seed, name in enumerate(("m3net", "asen"))
    ]
    return join_seeds(runs, each=False)


def test_queries_are_drawn_and_those_that_differ_most() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"attribute": ["collar"] * 30 + ["print"] * 20, "relevant": rng.integers(0, 3, 50)})
    scores = rng.random((3, 50))
    scores[:, 30:] = 0.5  # of print, the systems are equal
    relevant = table["relevant"].to_numpy()
    gap = np.ptp(scores, axis=0)
    chosen = choose(table, gap, 4, 0, DIFFER)
    assert choose(table, gap, 4, 0, DIFFER) == chosen != choose(table, gap, 4, 1, DIFFER)
    assert [why for _, why in chosen["collar"]] == [DRAWN] * 4 + [DIFFER] * 4
    assert [why for _, why in chosen["print"]] == [DRAWN] * 4
    rows = [row for row, _ in chosen["collar"]]
    assert len(set(rows)) == 8 and max(rows) < 30 and all(relevant[row] > 0 for row in rows)
    spread = {row: np.ptp(scores[:, row]) for row in range(30) if relevant[row] > 0 and row not in rows[:4]}
    assert rows[4:] == sorted(spread, key=lambda row: -spread[row])[:4]
    assert len(choose(table, gap, 100, 0, DIFFER)["print"]) == np.count_nonzero(relevant[30:])


def test_each_system_shows_its_own_nearest_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Group] = []
    shown: set[int] = set()

    def draw(groups: list[Group], picture: object) -> Image.Image:
        def seen(item: int) -> Image.Image:
            image: Image.Image = picture(item)  # type: ignore[operator]
            assert image.getpixel((5, 5)) == colour_of(item)
            shown.add(item)
            return image

        drawn.extend(groups)
        return draw_sheet(groups, seen)

    monkeypatch.setattr(sheets, "draw_sheet", draw)
    systems = two_systems(tmp_path)
    pictures = draw_sheets(systems, 2, 5)
    assert [one.title for one in pictures] == [f"Contact sheet: {name}" for name in TAXONOMY.names]
    for one in pictures:
        with Image.open(io.BytesIO(one.data)) as sheet:
            assert sheet.format == "JPEG" and one.kind == "jpeg" and sheet.height > 4 * 2 * 132
    embedded = system(0)
    found = [read_neighbours(one.runs[0].folder).to_pylist() for one in systems]
    queries = [of_task(one.runs[0].queries, "retrieval").to_pylist() for one in systems]
    assert len(drawn) == 3 * 4
    for group in drawn:
        asked, about = group.title.split(" — ")
        attribute, name = asked.split(": ")
        item_id, why = about.split(", ", 1)
        assert why in (DRAWN, DIFFER) and len(group.rows) == 2
        n = TAXONOMY.position(attribute)
        for row, one, rows, scored in zip(group.rows, systems, found, queries, strict=True):
            key = {"attribute": attribute, "item_id": item_id, "class": name}
            (kept,) = [line for line in rows if key.items() <= line.items()]
            (query,) = [line for line in scored if key.items() <= line.items()]
            assert row.caption == f"{one.name}\nAP@all {100 * query['MAP@all']:.1f} %"
            assert embedded.item_ids[row.query.item] == item_id and row.query.hit is None
            assert [embedded.item_ids[cell.item] for cell in row.hits] == kept["nearest"]
            assert [cell.hit for cell in row.hits] == kept["hit"]
            for cell in (row.query, *row.hits):
                carried = [TAXONOMY.class_name(int(m)) for m in np.flatnonzero(embedded.carried[cell.item])]
                assert cell.text == ", ".join(value for key, value in carried if key == TAXONOMY.names[n])
    assert len(shown) > 10


def test_what_is_gone_is_said(tmp_path: Path) -> None:
    systems = two_systems(tmp_path)
    folder = systems[1].runs[0].folder
    table = read_neighbours(folder)
    save_neighbours(table.slice(1), folder)
    with pytest.raises(DuetError, match=r"asen/neighbours\.parquet: of other queries than those beside it"):
        draw_sheets(systems, 1, 0)
    (folder / "neighbours.parquet").unlink()
    with pytest.raises(DuetError, match=r"asen/neighbours\.parquet: not there"):
        draw_sheets(systems, 1, 0)
    save_neighbours(table, folder)
    manifest = tmp_path / "items.parquet"
    pq.write_table(pq.read_table(manifest).slice(0, 5), manifest)
    with pytest.raises(DuetError, match=r"item 'item \d+' is not in the manifest of .*m3net any more"):
        draw_sheets(systems, 1, 0)
    manifest.unlink()
    with pytest.raises(DuetError, match=r"items\.parquet"):
        draw_sheets(systems, 1, 0)


def test_queries_about_whole_sets_are_titled_with_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(
        sheets, "draw_sheet", lambda groups, _: titles.extend(g.title for g in groups) or Image.new("RGB", (9, 9))
    )
    manifest = write_manifest(tmp_path / "items.parquet", system(0))
    more = {"manifest": [str(manifest)], "cache": tmp_path / "cache", "retrieval": {"relevance": "any"}}
    run = load_run(write_run(tmp_path / "a", system(0), **more))
    draw_sheets([System("m3net", (run,))], 3, 0)
    asked = [title.split(" — ")[0] for title in titles if title.startswith("print")]
    assert len(asked) == 3 and any(", " in one for one in asked)
    assert all(set(one.removeprefix("print: ").split(", ")) <= set(TAXONOMY.attributes[1].classes) for one in asked)
