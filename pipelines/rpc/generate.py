"""Generate the Python stubs of ``proto/`` into this folder: ``python -m pipelines.rpc.generate [--check]``.

grpcio-tools pins protobuf, and so does protoletariat (which makes the stubs' imports relative), each otherwise and
neither as Duet does: both get a virtual environment of their own in a temporary folder. The version of grpcio-tools
is the oldest that pyproject's lower bounds allow, since stubs run with the protobuf and grpcio that they were
generated for and with newer ones, never with older ones.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

TOOLS = "grpcio-tools==1.80.0"
IMPORTS = "protoletariat==3.3.10"

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the stubs, or with ``--check`` compare them with those that are there: status 1 if they differ."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.rpc.generate", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the committed stubs are those of proto/")
    check = parser.parse_args(argv).check
    with tempfile.TemporaryDirectory() as name:
        made = generate(Path(name))
        if not check:
            shutil.rmtree(HERE / "duet", ignore_errors=True)
            shutil.copytree(made, HERE / "duet")
            print(f"wrote {HERE / 'duet'}")
            return 0
        wrong = differing(made, HERE / "duet")
    for path in wrong:
        print(f"pipelines/rpc/duet/{path} is not what proto/ says; run `make proto`", file=sys.stderr)
    return 1 if wrong else 0


def generate(folder: Path) -> Path:
    """Stubs of every file of ``proto/``, below ``folder``; returns the folder of the package ``duet``."""
    out, description = folder / "out", folder / "description.binpb"
    out.mkdir()
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    protoc = [_environment(folder / "tools", TOOLS) / "python", "-m", "grpc_tools.protoc", f"-I{PROTO}"]
    targets = [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    _run(*protoc, *targets, "--include_imports", f"--descriptor_set_out={description}", *files)
    protol = _environment(folder / "imports", IMPORTS) / "protol"
    _run(protol, "--in-place", "--create-package", "--exclude-google-imports", "--python-out", out, "raw", description)
    for stub in out.rglob("*.pyi"):  # protoletariat passes over the imports as pyi files spell them
        stub.write_text(re.sub(r"^from duet\.v1 import", "from . import", stub.read_text(), flags=re.MULTILINE))
    return out / "duet"


def differing(left: Path, right: Path) -> list[str]:
    """Files, relative to either folder, that are not the same on both sides."""
    files = {path.relative_to(side) for side in (left, right) for path in side.rglob("*.py*") if path.suffix != ".pyc"}
    _, mismatch, missing = filecmp.cmpfiles(left, right, sorted(map(str, files)), shallow=False)
    return sorted(mismatch + missing)


def _environment(folder: Path, requirement: str) -> Path:
    venv.create(folder, with_pip=True)
    _run(folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement)
    return folder / "bin"


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
