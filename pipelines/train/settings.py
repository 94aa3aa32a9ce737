"""Settings of a training run; saved as ``settings.json`` beside what the run makes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.runtime import RaySettings
from cluster.settings import Section, Settings
from model.encoder import EncoderConfig
from model.objective import ObjectiveConfig
from model.preparation import ImagePreparation
from model.system import System
from model.systems import check_config, check_used, find_system

from .augment import AugmentationConfig


class EncoderSection(Section):
    """The network."""

    system: str = "posterior"
    """Its name; `duet systems` lists them."""
    switches: list[str] = []
    """Of the system; `duet systems` lists them."""
    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    """torchvision's ResNet, cut after layer3. resnet50 is the papers'."""
    weights: str = "none"
    """Start of the backbone: none, imagenet (torchvision's download), or a file of torchvision weights."""
    stem: Literal["standard", "fine"] = "standard"
    """fine leaves out the max-pool: for small pictures, at four times the cost."""
    hidden: int = Field(0, ge=0)
    """Width c' of the attention spaces; 0 = half the backbone's channels."""
    threshold: float = Field(0.8, gt=0, lt=1)
    """γ: classes of a multi-label attribute with P > γ are predicted."""
    head: str = ""
    """Of the classes; empty: the system's own. M3-Net's: cosine (items are searched by it), or mlp, the paper's."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Before the class heads."""

    @model_validator(mode="after")
    def _system_has_them(self) -> EncoderSection:
        check_config(self.config())
        check_used(self.config())
        return self

    def absolute(self) -> EncoderSection:
        """The same, with a file of weights named by its absolute path."""
        if self.weights in ("none", "imagenet"):
            return self
        return self.model_copy(update={"weights": str(Path(self.weights).absolute())})

    def config(self) -> EncoderConfig:
        """As the model's own type."""
        return EncoderConfig(**self.model_dump())


class ImageSection(Section):
    """Image preparation; part of the encoder's identity."""

    height: int = Field(224, ge=16, le=2048)
    """Of the encoder's input, pixels."""
    width: int = Field(224, ge=16, le=2048)
    """Of the encoder's input, pixels."""
    fit: Literal["pad", "crop"] = "pad"
    """pad shows the whole picture (letterbox); crop cuts the centre, as in the papers."""

    def preparation(self) -> ImagePreparation:
        """As the model's own type."""
        return ImagePreparation(**self.model_dump())


class ObjectiveSection(Section):
    """Weights of the loss. What is not given is the system's own; M3-Net's are in brackets (Eq. 7–11)."""

    classification: float | None = Field(None, ge=0)
    """λ_M [1]."""
    prototype: float | None = Field(None, ge=0)
    """λ_CC [1]."""
    instance: float | None = Field(None, ge=0)
    """λ_CI [1]."""
    margin: float | None = Field(None, ge=0, le=2)
    """Of both triplet losses, cosine distance [0.4]."""
    positive_weight: float | None = Field(None, ge=0)
    """w_p; 0 = per attribute the mean ratio of negative to positive labels [1]."""
    smoothing: float | None = Field(None, ge=0, le=0.5)
    """Label smoothing [0]."""
    momentum: float | None = Field(None, ge=0, lt=1)
    """Of the moving prototypes [0.9]."""

    def of(self, system: System) -> ObjectiveSection:
        """The same, with the system's own where nothing is given."""
        given = self.model_dump(exclude_none=True)
        return ObjectiveSection(**{**asdict(system.losses), **given})

    def config(self) -> ObjectiveConfig:
        """As the model's own type; of a section that is complete (`of`)."""
        return ObjectiveConfig(**self.model_dump())


class OptimizerSection(Section):
    """AdamW and its schedule, which begins anew with every stage of the system."""

    learning_rate: float = Field(1e-3, gt=0)
    """At its highest."""
    weight_decay: float = Field(0.05, ge=0)
    """On weight matrices; never on biases and norms."""
    schedule: Literal["cosine", "exponential"] = "cosine"
    """cosine falls to zero at the end of a stage; exponential multiplies by ``decay`` every epoch (the papers')."""
    decay: float = Field(0.975, gt=0, le=1)
    """Per epoch, for the exponential schedule."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of a stage's steps in which the rate rises from zero."""
    clip: float = Field(5.0, gt=0)
    """Largest norm of the gradient."""
    average: float = Field(0.99, ge=0, lt=1)
    """Moving average of the weights, which is what is validated and kept; 0 = the weights themselves."""


class AugmentationSection(Section):
    """Random changes of the training pictures. Hue stays: colour is an attribute."""

    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    scale: float = Field(0.15, ge=0, le=0.9)
    """Largest relative change of size."""
    shift: float = Field(0.08, ge=0, le=1)
    """Largest move, as a share of the side."""
    rotate: float = Field(6.0, ge=0, le=180)
    """Largest angle, degrees."""
    shade: float = Field(0.15, ge=0, le=1)
    """Largest relative change of brightness and of contrast."""
    erase: float = Field(0.25, ge=0, le=1)
    """Probability that a patch is greyed out."""

    def config(self) -> AugmentationConfig:
        """As the loop's own type."""
        return AugmentationConfig(**self.model_dump())


class ManipulationSection(Section):
    """The memory and the global head, trained on the finished encoder."""

    width: int = Field(256, ge=0)
    """r of the global embedding; 0 = no manipulation."""
    steps: int = Field(1000, ge=0)
    """Optimisation steps."""
    batch: int = Field(128, ge=2)
    """Manipulations per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's."""
    items: int = Field(50_000, ge=2)
    """At most so many training items are held in memory for it."""


class TrainSettings(Settings):
    """Train an encoder on a manifest with Ray Train: manifest -> checkpoint.

    The same command continues a run that was interrupted, from its last epoch.
    """

    manifest: list[str] = Field(min_length=1)
    """Parquet, CSV or JSONL files, folders, globs or s3:// URIs."""
    out: Path
    """Folder for the checkpoint, metrics, curves and what a resume needs. Shared storage if there are many nodes."""
    roots: list[str] = []
    """Folders or s3:// URIs below which the manifest's pictures (image_uri) lie."""
    attributes: list[str] | None = None
    """Columns that are labels; unset: the taxonomy's, or all that hold lists of text."""
    taxonomy: Path | None = None
    """A saved taxonomy; without one it is built from the manifest."""
    ignore: list[str] = []
    """Attribute columns to leave out."""
    cache: Path | None = None
    """Where each node keeps the pictures for random access; default: a folder in the system's temporary folder."""
    encoder: EncoderSection = EncoderSection()
    """The network."""
    image: ImageSection = ImageSection()
    """Image preparation."""
    objective: ObjectiveSection = ObjectiveSection()
    """The loss."""
    optimizer: OptimizerSection = OptimizerSection()
    """AdamW and its schedule."""
    augmentation: AugmentationSection = AugmentationSection()
    """Random changes of the pictures."""
    manipulation: ManipulationSection = ManipulationSection()
    """The memory and the global head."""
    epochs: int = Field(30, ge=1)
    """Passes of as many images as there are training items; at least one for each stage of the system."""
    batch: int = Field(64, ge=4)
    """Images of a global batch, whatever the number of workers."""
    group: int = Field(16, ge=4)
    """Images that take roles for one another and stay on one worker; even, divides ``batch``."""
    balance: Literal["frequency", "value"] = "frequency"
    """How anchors are drawn: as they occur (ours: classes are predicted with the priors of the catalogue), or attribute
    and value uniformly (ASEN++)."""
    seed: int = Field(0, ge=0)
    """Of weights, batches and augmentation."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a GPU or a CPU that computes in it, else float32."""
    workers: int = Field(1, ge=1)
    """Ray Train workers: one GPU each, or CPUs."""
    min_workers: int | None = Field(None, ge=1)
    """With so many the run starts or goes on, as long as the cluster has no room for all `workers`; unset: with all of
    them only. Every change costs the epoch that was begun. On CPUs it needs `threads`, by which room is counted."""
    gpu: Literal["auto", "yes", "no"] = "auto"
    """auto: GPUs if the cluster has one per worker (of `min_workers`)."""
    threads: int = Field(0, ge=0)
    """Threads of a CPU worker, and logical CPUs that it asks for; 0 = the node's cores shared among its workers."""
    max_failures: int = Field(3, ge=-1)
    """Losses of a worker, or of a node with some, after which the run gives up; -1 = never."""
    validate_every: int = Field(1, ge=1)
    """Epochs between validations; the last epoch is always validated."""
    validation_items: int = Field(5_000, ge=1)
    """At most so many items of the val split are validated on."""
    ray: RaySettings = RaySettings()
    """Which Ray it runs on."""

    @field_validator("manifest", "roots", "ignore", "attributes", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _losses_of_the_system(self) -> TrainSettings:
        # What is saved beside a run says everything, so the system's own is filled in here.
        object.__setattr__(self, "objective", self.objective.of(find_system(self.encoder.system)))
        return self

    @model_validator(mode="after")
    def _groups_fill_batches(self) -> TrainSettings:
        if self.group % 2 or self.batch % self.group:
            raise ValueError(f"group ({self.group}) must be even and divide batch ({self.batch})")
        if self.workers > self.batch // self.group:
            raise ValueError(
                f"{self.workers} workers cannot share {self.batch // self.group} groups: raise batch or lower group"
            )
        return self

    @model_validator(mode="after")
    def _least_is_not_most(self) -> TrainSettings:
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers ({self.min_workers}) is more than workers ({self.workers})")
        return self

    @model_validator(mode="after")
    def _epochs_for_every_stage(self) -> TrainSettings:
        stages = find_system(self.encoder.system).stages
        if self.epochs < stages:
            raise ValueError(f"{self.encoder.system} is trained in {stages} stages: epochs ({self.epochs}) is too few")
        return self

    def identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with the one that it continues."""
        free = {"out", "cache", "workers", "min_workers", "gpu", "threads", "max_failures"}
        free |= {"roots", "manifest", "taxonomy", "ray"}
        return self.model_dump(mode="json", exclude=free)
