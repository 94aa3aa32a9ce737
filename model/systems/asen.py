"""ASEN (AAAI 2020): attribute-aware spatial, then channel attention, by one-hot attributes.

State dict, with the public code's names: ``backbone.*`` (there ``backbonenet``), ``mask_fc1.weight`` (A1: c'×A),
``conv1``, ``conv2``, ``mask_fc2.weight`` (A2: C×A), ``fc1``, ``fc2``, ``feature_fc``; ours: ``head.centres``.
With ResNet-50 and 8 attributes 11,704,897 parameters, as the public code has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder import EncoderConfig
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding, positions_first
from .triplet import TRIPLET_LOSS

WITHOUT = {
    "without_spatial": "the mean over positions instead of spatial attention (w/o ASA)",
    "without_channel": "no channel attention (w/o ACA)",
}


class ASEN(AttributeEncoder):
    """Both attentions of an attribute n.

    α = softmax_s tanh(w·(tanh(T ψ_s) ⊙ tanh(A1 n)) + b);  v = Σ_s α_s ψ_s;
    embedding = FC(σ(W2 relu(W1 [v; relu(A2 n)])) ⊙ v).
    """

    class_first = False

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        channels, hidden = self.channels, self.hidden
        if not self.switched("without_spatial"):
            self.mask_fc1 = nn.Linear(self.count, hidden, bias=False)
            self.conv1 = nn.Conv2d(channels, hidden, 1)
            self.conv2 = nn.Conv2d(hidden, 1, 1)
        if not self.switched("without_channel"):
            self.mask_fc2 = nn.Linear(self.count, channels, bias=False)
            self.fc1 = nn.Linear(2 * channels, hidden)
            self.fc2 = nn.Linear(hidden, channels)
        self.feature_fc = nn.Linear(channels, channels)
        self.centre_head()

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        psi = positions_first(psi)
        attention = self.attend(psi)
        vectors = attention.to(psi.dtype) @ psi
        if not self.switched("without_channel"):
            vectors = self._gate(vectors)
        return Embedding(self.feature_fc(vectors), attention)

    def attend(self, psi: Tensor) -> Tensor:
        """ψ B×S×C -> B×A×S."""
        if self.switched("without_spatial"):
            return psi.new_full((len(psi), self.count, psi.shape[1]), 1 / psi.shape[1])
        keys = torch.tanh(F.linear(psi, self.conv1.weight[:, :, 0, 0], self.conv1.bias))
        # conv2 of a product by an attribute's mask is the product with (mask ⊙ conv2): A×c'.
        queries = torch.tanh(self.mask_fc1.weight.T) * self.conv2.weight[0, :, 0, 0]
        assert self.conv2.bias is not None
        return torch.tanh(keys @ queries.T + self.conv2.bias).softmax(1).transpose(1, 2)

    def _gate(self, vectors: Tensor) -> Tensor:
        of_vector, of_query = self.fc1.weight.split(self.channels, 1)
        query = F.linear(torch.relu(self.mask_fc2.weight.T), of_query, self.fc1.bias)  # once an attribute
        return torch.sigmoid(self.fc2(torch.relu(F.linear(vectors, of_vector) + query))) * vectors


ASEN_SYSTEM = System(
    "asen",
    "spatial and channel attention by attribute",
    "ASEN (AAAI 2020)",
    ASEN,
    losses=TRIPLET_LOSS,
    switches=WITHOUT,
)
