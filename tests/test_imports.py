"""The import rule: arrows point down only, and each folder knows just the libraries that it is about."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ("model", "cluster", "pipelines")

# Each may import what stands before it, and model and cluster, which import nothing of the house.
PIPELINES = ("errors", "data", "index", "search", "evaluate", "train", "sweep", "ingest", "rpc", "serve", "demo", "cli")

# The only third parties of the two lowest folders, and what others must not know.
ALLOWED = {
    "model": {"torch", "torchvision", "numpy", "PIL", "safetensors"},
    "cluster": {"ray", "aiohttp", "pydantic", "pydantic_settings"},
}
FORBIDDEN = {
    "pipelines.errors": {"torch", "ray", "lance", "lancedb", "grpc"},
    "pipelines.data": {"ray", "lance", "lancedb", "grpc"},
    "pipelines.index": {"ray", "grpc"},
    "pipelines.search": {"ray", "grpc"},
    "pipelines.evaluate": {"grpc"},
    "pipelines.train": {"lance", "lancedb", "grpc"},
    "pipelines.sweep": {"lance", "lancedb", "grpc"},
    "pipelines.rpc": {"torch", "ray", "lance", "lancedb"},
}


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module of the house; a package's name ends in ``.__init__``."""
    for folder in HOUSE:
        for path in sorted((root / folder).rglob("*.py")):
            yield ".".join(path.relative_to(root).with_suffix("").parts), path


def imported(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything a module imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from . import x` may name a module or a value; both lie below the base.
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def place(name: str) -> tuple[str, str]:
    """A dotted name's folder and, within pipelines, its part: ('pipelines', 'search') or ('model', '')."""
    parts = [*name.split("."), ""]
    return (parts[0], parts[1]) if parts[0] == "pipelines" else (parts[0], "")


def fault(name: str, target: str) -> str | None:
    """Why the module must not import the target, or None if it may."""
    (folder, part), (to_folder, to_part) = place(name), place(target)
    if to_folder not in HOUSE:
        known = to_folder in sys.stdlib_module_names
        if folder in ALLOWED and not known and to_folder not in ALLOWED[folder]:
            return f"{folder} knows only {sorted(ALLOWED[folder])} beside the standard library"
        if to_folder in FORBIDDEN.get(f"{folder}.{part}", ()):
            return f"{folder}.{part} must not know {to_folder}"
        return None
    if (folder, part) == (to_folder, to_part):
        return None
    if folder != "pipelines":
        return f"{folder} imports nothing of the house"
    if to_folder != "pipelines" or part in ("", "__init__"):
        return None if part not in ("", "__init__") else "pipelines/__init__ imports nothing of the house"
    if part not in PIPELINES or to_part not in PIPELINES:
        return f"{part!r} or {to_part!r} has no place in the order {PIPELINES}; give it one here and in the design"
    if PIPELINES.index(to_part) > PIPELINES.index(part):
        return f"{part} stands below {to_part}"
    return None


def faults(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line} imports {target}: {why}"
        for name, path in modules(root)
        for line, target in imported(name, path)
        if (why := fault(name, target))
    ]


def test_arrows_point_down_only() -> None:
    names = [name for name, _ in modules(ROOT)]
    assert {"model.encoder", "cluster.settings", "pipelines.cli"} <= set(names)
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("model/a.py", "import cluster.settings"),
        ("model/a.py", "import ray"),
        ("model/a.py", "def f():\n    from ray import data"),
        ("cluster/a.py", "from model.errors import DuetError"),
        ("cluster/a.py", "import torch"),
        ("cluster/a.py", "import lance"),
        ("pipelines/search/a.py", "from ..serve import server"),
        ("pipelines/search/a.py", "from .. import serve"),
        ("pipelines/search/a.py", "from grpc import aio"),
        ("pipelines/data/a.py", "import ray.data"),
        ("pipelines/data/sub/a.py", "from ...index.store import Index"),
        ("pipelines/errors.py", "from .data import manifest"),
        ("pipelines/search/a.py", "from pipelines.rpc.duet.v1 import search_pb2"),
        ("pipelines/train/a.py", "from pipelines import ingest"),
        ("pipelines/new/a.py", "from pipelines.errors import DuetError"),
        ("pipelines/__init__.py", "from .errors import DuetError"),
    ],
)
def test_forbidden_arrow_is_found(tmp_path: Path, file: str, source: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(source)
    assert len(faults(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("model/a.py", "from __future__ import annotations\nimport json, torch\nfrom .b import c"),
        ("model/a.py", "from torchvision.models import resnet18"),
        ("cluster/a.py", "import ray\nfrom .settings import Section"),
        ("pipelines/serve/a.py", "import grpc\nfrom ..search.plan import Plan\nfrom ..rpc.duet.v1 import search_pb2"),
        ("pipelines/data/a.py", "from model.taxonomy import Taxonomy\nfrom ..errors import DuetError"),
        ("pipelines/data/__init__.py", "from .manifest import Manifest"),
        ("pipelines/cli.py", "from .errors import DuetError\nfrom cluster.command import command"),
    ],
)
def test_permitted_arrow_is_no_fault(tmp_path: Path, file: str, source: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(source)
    assert faults(tmp_path) == []


def python(code: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_installed_names_are_ours(tmp_path: Path) -> None:
    lines = python("import model, cluster, pipelines as p\nfor m in (model, cluster, p): print(m.__file__)", tmp_path)
    assert [Path(line) for line in lines.splitlines()] == [ROOT / name / "__init__.py" for name in HOUSE]


def test_contract_folder_does_not_shadow_proto_plus() -> None:
    assert not list((ROOT / "proto").rglob("*.py"))
    assert python("import proto; print(proto.Message.__module__)", ROOT).strip() == "proto.message"


def test_house_imports_are_light(tmp_path: Path) -> None:
    """`duet --help` answers at once: the heavy libraries are imported by the commands that need them."""
    code = "import sys, pipelines.cli; print(sorted({'torch', 'ray', 'lance', 'grpc', 'pyarrow'} & set(sys.modules)))"
    assert python(code, tmp_path).strip() == "[]"
