"""A system: a named encoder with the objective, the head and the settings that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .encoder import Encoder, EncoderConfig
from .manipulation import HeadConfig
from .objective import Objective, ObjectiveConfig
from .taxonomy import Taxonomy


@dataclass(frozen=True)
class System:
    """What `model.systems` lists, and the trainer builds.

    Args:
        name: by which it is chosen.
        about: one line.
        source: paper, or ``ours``.
        encoder: its class; raises `EncoderError` for settings that it cannot have.
        objective: its class.
        losses: the objective's settings where none are given.
        heads: kinds of class head (`model.heads`) that it can have, its own first.
        switches: name -> what it changes.
        unused: settings of an encoder that change nothing here, and are refused (`model.systems.check_used`).
        manipulation: its head, by its settings.
    """

    name: str
    about: str
    source: str
    encoder: Callable[[EncoderConfig, Taxonomy], Encoder]
    objective: type[Objective] = Objective
    losses: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    heads: tuple[str, ...] = ("centre",)
    switches: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    manipulation: Callable[[EncoderConfig], HeadConfig] = lambda _: HeadConfig()

    @property
    def stages(self) -> int:
        """Of its training (`Encoder.stages`)."""
        count: int = getattr(self.encoder, "stages", 1)
        return count
