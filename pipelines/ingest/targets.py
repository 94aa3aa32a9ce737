"""Which generations a run brings up to the manifest, and with which encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.checkpoint import Checkpoint, load_checkpoint
from pipelines.data.manifest import Manifest
from pipelines.errors import CheckpointError, StoreError
from pipelines.index.datasets import dataset_exists
from pipelines.index.generation import Generation
from pipelines.index.store import Index, index_uri

from .settings import IngestSettings


@dataclass(frozen=True)
class Target:
    """A generation to bring up to date: its encoder, and where that lies."""

    checkpoint: Checkpoint
    folder: str

    @property
    def generation(self) -> str:
        """Its name."""
        return Generation.of(self.checkpoint, self.folder).name

    def open_manifest(self, settings: IngestSettings) -> Manifest:
        """The manifest, its labels as training and evaluation read them; one without labels is indexed as well."""
        paths, roots, taxonomy = settings.manifest, settings.roots, self.checkpoint.taxonomy
        texts = Index(index_uri(settings.index)).metadata_texts(self.generation)
        manifest = Manifest.open(paths, roots=roots, attributes=settings.attributes, texts=texts)
        if settings.attributes is None and not set(taxonomy.names).isdisjoint(manifest.metadata):
            return Manifest.labelled(paths, taxonomy, roots=roots, texts=texts)
        return manifest

    def ignored(self, manifest: Manifest) -> tuple[str, ...]:
        """Label columns of the manifest that the encoder does not know."""
        return tuple(name for name in manifest.attributes if name not in self.checkpoint.taxonomy.names)


def live_generations(index: str) -> set[str]:
    """Names of the generations of an index; none where there is no index yet."""
    opened = Index(index_uri(index))
    if not dataset_exists(opened.table_uri("generations")):
        return set()
    return {generation.name for generation in opened.generations()}


def choose_targets(settings: IngestSettings) -> list[Target]:
    """The generations that a run is about, the served one (or the new one) first.

    Raises:
        CheckpointError: a checkpoint is not there any more, is another one, or is missing.
        StoreError: the given encoder is not one that the index was made with, or is though a new one is wanted.
    """
    given = None
    if settings.checkpoint is not None:
        folder = str(Path(settings.checkpoint).absolute())
        given = Target(load_checkpoint(folder), folder)
    index = Index(index_uri(settings.index))
    live = list(index.generations()) if dataset_exists(index.table_uri("generations")) else []
    latest = index.latest() if live else None
    if settings.generation == "new" or not live:
        if given is None:
            raise CheckpointError(
                f"there is no index at {index.uri} yet: name the encoder to make it with, --checkpoint"
            )
        _check_resumed(given, [one for one in live if latest is None or one.name != latest.generation])
        return [given]
    if latest is not None:
        live.sort(key=lambda generation: generation.name != latest.generation)
    own = None if given is None else given.generation
    if own is not None and own not in {generation.name for generation in live}:
        raise StoreError(
            f"{index.uri} was made with another encoder, image preparation or taxonomy than {settings.checkpoint} has, "
            "so nothing in it can be continued: --generation new embeds the manifest with it, beside what is served"
        )
    return [given if given is not None and generation.name == own else _of(index, generation) for generation in live]


def _check_resumed(given: Target, unserved: Sequence[Generation]) -> None:
    """Raise `StoreError` if a generation was begun with what this folder held before: it could never be ended."""
    name = given.generation
    for generation in unserved:
        if generation.checkpoint_uri == given.folder and generation.name != name:
            raise StoreError(
                f"{given.folder} holds another encoder, image preparation or taxonomy than when generation "
                f"{generation.name} was begun with it, so nothing of that can be continued: give it up with "
                f"`duet snapshots retire {generation.name}` and run this again, or keep both encoders in folders of "
                "their own"
            )


def _of(index: Index, generation: Generation) -> Target:
    last = index.latest(generation=generation.name)
    place = generation.checkpoint_uri if last is None else last.checkpoint_uri  # where a run has found it since
    try:
        checkpoint = load_checkpoint(place)
    except CheckpointError as error:
        raise CheckpointError(
            f"generation {generation.name} of the index cannot be brought up to date: {error}; put its checkpoint "
            f"back, name it with --checkpoint, or give the generation up: duet snapshots retire {generation.name}"
        ) from error
    target = Target(checkpoint, place)
    if target.generation != generation.name:
        raise CheckpointError(
            f"{place} holds another encoder than generation {generation.name} was made with; put that back, name it "
            f"with --checkpoint, or give the generation up: duet snapshots retire {generation.name}"
        )
    return target
