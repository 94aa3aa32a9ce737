"""AttnFashion: spatial, then channel attention guided by attributes. Best effort: its sizes are not published.

No parity with the paper is claimed. Guidance is added to the keys, as its figure shows; widths are ASEN's.
State dict: ``backbone.*``, ``attr_embedding``, ``spatial_query``, ``spatial_key``, ``spatial_score``,
``channel_query``, ``channel_reduce``, ``channel_expand``, ``head.centres``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..encoder import EncoderConfig
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding, positions_first
from .triplet import TRIPLET_LOSS


class AttnFashion(AttributeEncoder):
    """α = softmax_s w·relu(T ψ_s + U a);  v = Σ_s α_s ψ_s;  embedding = σ(W2 relu(W1 v + V a)) ⊙ v."""

    class_first = False

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        channels, hidden = self.channels, self.hidden
        self.attr_embedding = nn.Embedding(self.count, hidden)
        self.spatial_query = nn.Linear(hidden, hidden, bias=False)  # U
        self.spatial_key = nn.Linear(channels, hidden)  # T
        self.spatial_score = nn.Linear(hidden, 1, bias=False)  # w
        self.channel_query = nn.Linear(hidden, hidden, bias=False)  # V
        self.channel_reduce = nn.Linear(channels, hidden)  # W1
        self.channel_expand = nn.Linear(hidden, channels)  # W2
        self.centre_head()

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        psi = positions_first(psi)
        keys, queries = self.spatial_key(psi), self.spatial_query(self.attr_embedding.weight)
        # One attribute at a time: behind a ReLU their maps do not factor, and A of them at once are large.
        scores = [self.spatial_score(torch.relu(keys + query))[..., 0] for query in queries]
        attention = torch.stack(scores, 1).softmax(2)
        vectors = attention.to(psi.dtype) @ psi
        hidden = torch.relu(self.channel_reduce(vectors) + self.channel_query(self.attr_embedding.weight))
        return Embedding(torch.sigmoid(self.channel_expand(hidden)) * vectors, attention)


ATTNFASHION = System(
    "attnfashion",
    "spatial, then channel attention; best effort, sizes unpublished",
    "AttnFashion (no parity claimed)",
    AttnFashion,
    losses=TRIPLET_LOSS,
)
