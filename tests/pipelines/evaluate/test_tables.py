"""Tables: chance first; text survives both renderings."""

from __future__ import annotations

import io
import math

from rich.console import Console

from pipelines.evaluate.scores import Summary
from pipelines.evaluate.tables import Table, markdown, show, side_by_side


def summary(value: float, without: int = 0) -> Summary:
    measures = {"MAP@all": value, "Recall@5": value / 2}
    return Summary(10, without, measures, {"MAP@all": 0.1, "Recall@5": 0.05}, {"Recall@5": 0.9})


def test_chance_then_the_system_then_the_ceiling() -> None:
    columns = [("collar", summary(0.25, without=2), "10"), ("overall", summary(math.nan), "0")]
    table = side_by_side("Retrieval", ["a note"], "m3net", columns)
    assert table.columns == ("%", "", "collar", "overall")
    assert table.rows == (
        ("MAP@all", "random", "10.00", "10.00"),
        ("MAP@all", "m3net", "25.00", "–"),
        ("Recall@5", "random", "5.00", "5.00"),
        ("Recall@5", "m3net", "12.50", "–"),
        ("Recall@5", "ceiling", "90.00", "90.00"),
        ("queries", "", "10", "0"),
        ("nothing relevant", "", "2", "0"),
    )
    assert side_by_side("", [], "x", [("a", summary(0.1), "1")]).rows[-1][0] == "queries"


ODD = Table("sleeve [bold]", ("note",), ("%", "", "a|b", "[red]c"), (("MAP", "x", "1.00", "2.00"),))


def test_markdown_escapes_and_aligns() -> None:
    lines = markdown(ODD).splitlines()
    grid = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in grid}) == 1 and all(line.replace("\\|", "").count("|") == 5 for line in grid)
    assert "a\\|b" in grid[0] and "[red]c" in grid[0] and lines[0] == "## sleeve [bold]"


def test_bold_cells() -> None:
    table = Table("t", (), ("%", "", "a", "b"), (("MAP", "x", "1", "2"), ("MAP", "y", "3", "0")), frozenset({(1, 2)}))
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert "**3**" in lines[3] and sum(line.count("**") for line in lines) == 2 and len({*map(len, lines)}) == 1
    drawn = io.StringIO()
    show([table], Console(file=drawn, force_terminal=True, width=60, color_system="standard"))
    assert drawn.getvalue().count("\x1b[1m3\x1b[0m") == 1 and "**" not in drawn.getvalue()


def test_show_on_a_terminal_and_elsewhere() -> None:
    drawn, plain = io.StringIO(), io.StringIO()
    show([ODD], Console(file=drawn, force_terminal=True, width=100, color_system=None))
    show([ODD], Console(file=plain, force_terminal=False))
    assert "[red]c" in drawn.getvalue() and "a|b" in drawn.getvalue()
    assert plain.getvalue() == markdown(ODD) + "\n"
