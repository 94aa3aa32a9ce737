"""M3-Net, word for word and slowly: one image, one attribute, one class at a time, every feature map made."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.preparation import normalize
from model.systems.m3net import M3Net


def literal_attribute(network: M3Net, image: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """One image 3×H×W -> (φ_n·S as a map c×h×w, attribute embedding c, logits M_n)."""
    psi = network.backbone(normalize(image[None]))
    positions = psi.shape[2] * psi.shape[3]
    if not network.has_attributes:
        embedding = psi.mean((2, 3))[0]
        return psi[0], embedding, network.heads[n](embedding[None])[0]
    spatial, channel = network.attribute_spatial, network.attribute_channel
    keys = torch.tanh(spatial.norm(spatial.project(psi)))  # p1
    query = torch.tanh(spatial.query(spatial.embedding(torch.tensor(n))))  # p2
    scores = (keys[0] * query[:, None, None]).sum(0) / spatial.hidden**0.5
    alpha = torch.softmax(scores.flatten(), 0).view_as(scores)
    phi = alpha * psi[0]
    embedding = literal_gate(channel, phi.sum((1, 2)), n)
    return phi * positions, embedding, network.heads[n](embedding[None])[0]


def literal_class_attention(network: M3Net, image: Tensor, n: int, m: int) -> Tensor:
    """One image 3×H×W, attribute n and its m-th class -> α_m over φ_n, h×w."""
    phi, _, _ = literal_attribute(network, image, n)
    spatial = network.class_spatial
    block = slice(n * spatial.hidden, (n + 1) * spatial.hidden)
    norm = spatial.norm
    keys = F.conv2d(phi[None], spatial.project.weight[block])
    keys = F.batch_norm(
        keys, norm.running_mean[block], norm.running_var[block], norm.weight[block], norm.bias[block], eps=norm.eps
    )
    row = network.taxonomy.offsets[n] + m
    query = torch.tanh(spatial.query[n](spatial.embedding(torch.tensor(row))))
    scores = (torch.tanh(keys[0]) * query[:, None, None]).sum(0) / spatial.hidden**0.5
    return torch.softmax(scores.flatten(), 0).view_as(scores)


def literal_class(network: M3Net, image: Tensor, n: int, m: int) -> Tensor:
    """One image 3×H×W, attribute n and its m-th class -> class embedding c."""
    phi, _, _ = literal_attribute(network, image, n)
    vector = (literal_class_attention(network, image, n, m) * phi).sum((1, 2))
    if network.has_attributes:
        vector = literal_gate(network.attribute_channel, vector, n)
    return literal_gate(network.class_channel[n], vector, m)


def literal_gate(module: torch.nn.Module, vector: Tensor, label: int) -> Tensor:
    """CCA of one vector."""
    query = torch.relu(module.query(module.embedding(torch.tensor(label))))
    joined = torch.cat([vector, query])
    return torch.sigmoid(module.expand(torch.relu(module.reduce(joined)))) * vector
