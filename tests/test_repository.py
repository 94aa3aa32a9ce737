"""What the repository's own files promise each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [Requirement(line) for line in PROJECT["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [str(pin) for pin in found if len(pin.specifier) != 1 or pin.url] == []
    return {canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in found}


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    for requirement in DIRECT + DEVELOPMENT:
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_bounds_are_lower_ones_only() -> None:
    for requirement in DIRECT + DEVELOPMENT:
        assert [bound.operator for bound in requirement.specifier] == [">="], requirement


def test_every_library_that_is_imported_is_asked_for() -> None:
    """A library that comes along with another one goes when that one drops it."""
    asked = {canonicalize_name(requirement.name) for requirement in DIRECT}
    distributions = packages_distributions()
    missing = {}
    for folder in ("model", "cluster", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names:
                    owners = {canonicalize_name(owner) for owner in distributions.get(top, [top])}
                    if not owners & asked and top not in ("model", "cluster", "pipelines"):
                        missing[top] = str(path.relative_to(ROOT))
    assert missing == {}


def test_stubs_are_generated_for_the_oldest_grpc_that_is_allowed() -> None:
    (tools,) = re.findall(r'"grpcio-tools==([\d.]+)"', (ROOT / "pipelines/rpc/generate.py").read_text(encoding="utf-8"))
    (bound,) = [requirement for requirement in DIRECT if requirement.name == "grpcio"]
    assert Version(tools) == Version(str(bound.specifier).removeprefix(">="))


def test_make_help_lists_the_targets_of_the_readme() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  make ([a-z-]+)", shown, flags=re.MULTILINE))
    assert {"demo", "test", "lint", "proto", "bench", "help"} <= listed
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake ([a-z-]+)`", readme)) <= listed


@pytest.mark.parametrize("path", sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")]), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []
