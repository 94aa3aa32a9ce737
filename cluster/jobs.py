"""Submit a command as a job to a Ray cluster and follow it: ``duet submit -- python -m pipelines.train …``.

What ``ray job submit --working-dir .`` does, with what a house job needs: the access token is sent where there is
one, threads are limited, and the job's end is this command's exit status. The working directory is uploaded without
what its ``.gitignore`` and ``.rayignore`` name, and Ray leaves out ``.git`` and ``.venv`` by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .command import command
from .errors import ClusterError
from .settings import Settings, fail, parse_settings

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PROG = "duet submit"
DASHBOARD = "http://127.0.0.1:8265"
_AGENT_SECONDS = 60.0
_POLL_SECONDS = 1.0


class SubmitSettings(Settings):
    """Run a command as a job on a Ray cluster: duet submit [options] -- COMMAND …

    Needs the modules of duet's requirements on the cluster; duet itself is uploaded with the working directory. Exits
    with 0 if the job succeeded, 1 if it failed or was stopped, 2 if it cannot be started or followed. Stopping this
    command does not stop the job.
    """

    address: str | None = None
    """The cluster's dashboard; unset: $RAY_API_SERVER_ADDRESS, $RAY_ADDRESS or http://127.0.0.1:8265."""
    working_dir: Path = Path()
    """Folder to upload and run in."""
    env: dict[str, str] = {}
    """Environment of the job, NAME=VALUE; may be given several times."""
    wait: bool = True
    """Whether to show the job's output and wait for its end."""


def submit(settings: SubmitSettings, entrypoint: Sequence[str]) -> tuple[JobSubmissionClient, str]:
    """Upload the working directory and start the job.

    Args:
        settings: where, and with what.
        entrypoint: the command and its arguments; the cluster's shell sees them quoted.

    Returns:
        The client and the job's submission id.

    Raises:
        ClusterError: no dashboard answers, it refuses the token, or the folder cannot be uploaded.
    """
    if not settings.working_dir.is_dir():
        raise ClusterError(f"--working-dir {settings.working_dir}: no such folder")
    _send_token()
    # Ray reads its authentication mode when it is imported, and never again.
    from ray.exceptions import AuthenticationError, RayError

    from .runtime import COMPUTE

    logging.getLogger("ray").setLevel(logging.ERROR)  # it would list each ignore file of each folder, twice
    runtime_env = {"working_dir": str(settings.working_dir.resolve()), "env_vars": {**COMPUTE, **settings.env}}
    address = settings.address or _environment_address() or DASHBOARD
    try:
        client = _client(address)
        return client, _submit(client, shlex.join(entrypoint), runtime_env)
    except AuthenticationError as error:
        raise ClusterError(
            f"{address} refuses the access token: give the cluster's as RAY_AUTH_TOKEN or in ~/.ray/auth_token"
        ) from error
    except ClusterError:
        raise
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise ClusterError(f"the job could not be submitted to {address}: {str(error).splitlines()[0]}") from error


def _submit(client: JobSubmissionClient, entrypoint: str, runtime_env: dict[str, Any]) -> str:
    """Submit; a head that has only just started has no agent yet that takes jobs, so ask again for a while."""
    end = time.monotonic() + _AGENT_SECONDS
    while True:
        try:
            return client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
        except RuntimeError as error:
            if "No available agent" not in str(error):
                raise
            if time.monotonic() > end:
                raise ClusterError(
                    f"no agent of the cluster at {client.get_address()} took the job within {_AGENT_SECONDS:.0f} s; "
                    "where two Rays share the head's machine, give one a port of its own: "
                    "ray start --dashboard-agent-listen-port PORT"
                ) from error
            time.sleep(1)


def follow(client: JobSubmissionClient, submission_id: str) -> bool:
    """Print the job's output until it ends; return whether it succeeded.

    Raises:
        ClusterError: the connection to the cluster is lost; the job goes on.
    """
    from aiohttp import ClientError

    shown = 0  # characters; an output that is asked for again begins at its beginning

    async def show() -> None:
        nonlocal shown
        begin = 0
        async for text in client.tail_job_logs(submission_id):
            print(text[max(0, shown - begin) :], end="", flush=True)
            begin += len(text)
            shown = max(shown, begin)

    try:
        while True:
            asyncio.run(show())
            status = client.get_job_status(submission_id)
            if status.is_terminal():
                break
            time.sleep(_POLL_SECONDS)  # the output may end before the job, and its connection at any time
    except BrokenPipeError:  # whoever reads our output has gone, not the cluster
        raise
    except (RuntimeError, OSError, ClientError) as error:
        address = client.get_address()
        raise ClusterError(
            f"connection to {address} lost ({str(error).partition(chr(10))[0]}); the job goes on: "
            f"ray job logs {submission_id} --follow --address {address}"
        ) from error
    print(f"{PROG}: {submission_id} {status.value.lower()}")
    return status.value == "SUCCEEDED"


@command(PROG)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    settings = parse_settings(SubmitSettings, arguments[:cut], PROG)
    entrypoint = arguments[cut + 1 :]
    if not entrypoint:
        fail(PROG, "no command; write it after --, as in: duet submit -- python -m pipelines.train --help")
    client, submission_id = submit(settings, entrypoint)
    print(f"{PROG}: {submission_id} runs {shlex.join(entrypoint)}; stop it with: ray job stop {submission_id}")
    return 0 if not settings.wait or follow(client, submission_id) else 1


def _environment_address() -> str | None:
    return os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")


def _client(address: str) -> JobSubmissionClient:
    from ray.job_submission import JobSubmissionClient

    return JobSubmissionClient(address)


def _send_token() -> None:
    """Turn token authentication on if there is a token, since a cluster then asks for it but clients do not send it."""
    given = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    if given or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


if __name__ == "__main__":
    raise SystemExit(main())
