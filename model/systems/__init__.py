"""Every system, by name. A new one is a file beside this one, and a line in `_ALL`."""

from __future__ import annotations

from torch import Tensor

from ..encoder import Encoder, EncoderConfig
from ..errors import EncoderError
from ..objective import Objective, ObjectiveConfig
from ..system import System
from ..taxonomy import Taxonomy
from . import (
    agman,
    amnet,
    asen,
    asen_pp,
    asen_v2,
    attnfashion,
    classifier,
    csn,
    fashionsearchnet,
    m3net,
    modc,
    posterior,
    triplet,
)

_ALL = (
    classifier.CLASSIFIER,
    triplet.TRIPLET,
    csn.CSN_SYSTEM,
    asen.ASEN_SYSTEM,
    asen_v2.ASEN_V2,
    asen_pp.ASEN_PP,
    attnfashion.ATTNFASHION,
    agman.AGMAN_SYSTEM,
    modc.MODC_SYSTEM,
    amnet.AMNET,
    fashionsearchnet.FASHIONSEARCHNET,
    m3net.M3NET_A,
    m3net.M3NET_C,
    m3net.M3NET,
    posterior.POSTERIOR,
)
SYSTEMS: dict[str, System] = {system.name: system for system in _ALL}


def find_system(name: str) -> System:
    """The system of that name. Raises `EncoderError` if there is none."""
    if name not in SYSTEMS:
        raise EncoderError(f"unknown system {name!r}; known: {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def check_config(config: EncoderConfig) -> None:
    """Raise `EncoderError` if the system is unknown, or has no such head or switch."""
    system = find_system(config.system)
    for switch in config.switches:
        if switch not in system.switches:
            known = ", ".join(system.switches) or "none"
            raise EncoderError(f"{system.name} has no switch {switch!r}; it has: {known}")
    if config.head and config.head not in system.heads:
        raise EncoderError(f"{system.name} has no head {config.head!r}; it has: {', '.join(system.heads)}")


def check_used(config: EncoderConfig) -> None:
    """Raise `EncoderError` if a setting changes nothing in the system. Not asked of a checkpoint: it is as it is."""
    for name in find_system(config.system).unused:
        if getattr(config, name):
            raise EncoderError(f"{config.system}: {name} = {getattr(config, name)} changes nothing in it; leave it out")


def build_encoder(config: EncoderConfig, taxonomy: Taxonomy) -> Encoder:
    """A new encoder, with random weights but for the backbone's.

    Raises:
        EncoderError: as `check_config`; or the taxonomy is more than the system can have.
    """
    check_config(config)
    return find_system(config.system).encoder(config, taxonomy)


def build_objective(config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> Objective:
    """The objective of an encoder's system; ``positive_weight`` as in `Objective`."""
    return find_system(encoder.config.system).objective(config, encoder, positive_weight)
