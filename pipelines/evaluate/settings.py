"""Settings of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from cluster.settings import Section, Settings

from .metrics import Denominator, Zero

Positive = Annotated[int, Field(ge=1)]
Threshold = Annotated[float, Field(gt=0, lt=1)]


class RetrievalSettings(Section):
    """What is relevant to what, and how the gallery is ranked (design 3)."""

    roles: Literal["leave-one-out", "split"] = "leave-one-out"
    """leave-one-out: every item is a query, all others its gallery; split: one query to four of the gallery, by the
    hash of the id."""
    relevance: Literal["class", "any", "exact"] = "class"
    """Multi-label attributes: class: one query per (item, class); any: shares a class; exact: the same set."""
    labels: Literal["all", "listed"] = "all"
    """Classes that a candidate stands for: all of its labels, or those of its rows in --roles alone (the single-label
    figures of DeepFashion)."""
    classes: Literal["predicted", "given"] = "predicted"
    """The query's classes, which make the tiers: predicted by the encoder, or given (a hint that a search by picture
    does not get)."""
    ks: tuple[Positive, ...] = Field(default=(10, 100), min_length=1)
    """K of AP@K and Recall@K."""
    denominator: Denominator = "min"
    """D of AP@K: hits (the papers'), min(R, K) (the textbook's) or all (R)."""
    zero: Zero = "keep"
    """A query to which nothing is relevant: keep counts it as 0 (the papers'), skip leaves it out."""


class MultiLabelSettings(Section):
    """Retrieval by sets of given classes of one multi-label attribute."""

    sizes: tuple[Positive, ...] = (2, 3)
    """Classes per set: every subset of so many classes that an item carries is a query."""
    max_queries: Positive = 5_000
    """Per attribute and size; more are sampled down, with the seed."""
    seed: int = Field(default=0, ge=0)
    """Of the sample."""


class ManipulationSettings(Section):
    """Retrieval of an item with some classes changed."""

    sizes: tuple[Positive, ...] = (1, 2)
    """Attributes that change at once: 1 gives a column for each attribute, a larger number one for all sets of so
    many."""
    ks: tuple[Positive, ...] = Field(default=(10, 20, 50), min_length=1)
    """K of Top-K accuracy, NDCG@K and the share of target classes."""
    max_queries: Positive = 5_000
    """(Item, changes) pairs per attribute, or per number of attributes; more are sampled down, with the seed."""
    seed: int = Field(default=0, ge=0)
    """Of the sample."""


class TripletSettings(Section):
    """Triplet accuracy: how often an anchor is nearer to its positive than to its negative."""

    file: Path | None = None
    """Parquet with the columns attribute, anchor, positive, negative (item ids) and perhaps split; default: triplets
    drawn from the labels, each pair of classes as often as any other."""
    count: int = Field(default=5_000, ge=0)
    """Triplets drawn per attribute where no file is given; 0 = none."""
    seed: int = Field(default=0, ge=0)
    """Of the draw."""


class RerankingSettings(Section):
    """A general ranking, whose first K one attribute then reorders."""

    ks: tuple[Positive, ...] = (20, 100)
    """K; none: no re-ranking."""


class SensitivitySettings(Section):
    """MAP@all of retrieval by γ, the threshold of predicted classes of multi-label attributes (M3-Net's supplement)."""

    thresholds: tuple[Threshold, ...] = ()
    """γ to try, such as 0.1,0.3,0.5,0.7,0.9; the evaluation's own is added. None: no study. The pictures are embedded
    once, with the classes of the lowest γ; the galleries of multi-label attributes are ranked once for each."""


class SheetSettings(Section):
    """Contact sheets: pictures of queries with their nearest items."""

    rows: int = Field(default=3, ge=0)
    """Queries per attribute; 0 = no sheets."""
    hits: Positive = 8
    """Nearest items shown of each."""
    seed: int = Field(default=0, ge=0)
    """Of the choice of queries."""


class ChanceSettings(Settings):
    """What a random ranking scores in retrieval, and what the best one can: from labels alone."""

    manifest: list[str] = Field(min_length=1)
    """Parquet, CSV or JSONL files, folders, globs or s3:// URIs."""
    attributes: list[str] | None = None
    """Columns that are attributes; default: those of lists of text. CSV has no lists: name them."""
    split: str = "test"
    """Rows of the manifest; one without a column 'split' is taken whole."""
    roles: Path | None = None
    """The data set's own roles, in place of retrieval.roles; as in `duet evaluate`."""
    retrieval: RetrievalSettings = RetrievalSettings()
    """Attribute-specific retrieval."""

    @field_validator("manifest", "attributes", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("retrieval")
    @classmethod
    def _chance_predicts_nothing(cls, value: RetrievalSettings) -> RetrievalSettings:
        if value.classes != "predicted":
            raise ValueError("retrieval.classes changes nothing in a random ranking; leave it out")
        return value


class EvaluateSettings(Settings):
    """Measure how well an encoder retrieves: checkpoint + labelled manifest -> figures, tables, contact sheets.

    `duet evaluate compare RUN RUN … --out FOLDER` puts several evaluations side by side, `duet evaluate generations
    --index INDEX --out FOLDER` the generations of an index, and `duet evaluate chance` tells what a random ranking
    scores; see their --help.
    """

    checkpoint: Path
    """Folder of the checkpoint."""
    manifest: list[str] = Field(min_length=1)
    """Parquet, CSV or JSONL files, folders, globs or s3:// URIs."""
    out: Path
    """Folder for report.json, report.md, queries.parquet, neighbours.parquet, settings.json and the contact sheets."""
    split: str = "test"
    """Rows of the manifest; one without a column 'split' is evaluated whole."""
    roots: list[str] = Field(default=[])
    """Folders or s3:// URIs below which image_uri is resolved."""
    cache: Path | None = None
    """Where the pictures are kept for random access; default: a folder in the system's temporary folder."""
    batch: int = Field(default=64, ge=1)
    """Pictures per forward pass."""
    device: str = "auto"
    """cpu, cuda, cuda:1, …; auto: a GPU if there is one."""
    threshold: Threshold | None = None
    """γ for predicted classes of multi-label attributes; default: the checkpoint's."""
    roles: Path | None = None
    """The data set's own roles, in place of retrieval.roles: Parquet with the columns item_id, attribute, role (query
    or gallery) and perhaps class, which a query is then about."""
    retrieval: RetrievalSettings = RetrievalSettings()
    """Attribute-specific retrieval."""
    multilabel: MultiLabelSettings = MultiLabelSettings()
    """Retrieval by sets of classes."""
    manipulation: ManipulationSettings = ManipulationSettings()
    """Retrieval of an item with some classes changed."""
    triplets: TripletSettings = TripletSettings()
    """Triplet accuracy."""
    reranking: RerankingSettings = RerankingSettings()
    """A general ranking reordered by one attribute."""
    sensitivity: SensitivitySettings = SensitivitySettings()
    """MAP@all by γ."""
    sheet: SheetSettings = SheetSettings()
    """Contact sheets."""

    @field_validator("manifest", "roots", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value
