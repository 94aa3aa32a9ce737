"""Systems without a class level, word for word and slowly: one image and attribute at a time, every map made."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.preparation import normalize
from model.systems.agman import AGMAN
from model.systems.amnet import AMNet
from model.systems.asen import ASEN
from model.systems.asen_pp import ASENpp
from model.systems.attnfashion import AttnFashion
from model.systems.classifier import Classifier
from model.systems.conditional import ConditionalAttention
from model.systems.csn import CSN
from model.systems.triplet import TripletNetwork


def literal_mean(psi: Tensor) -> Tensor:
    """One map 1×C×h×w -> its mean over positions, C."""
    positions = [psi[0, :, y, x] for y in range(psi.shape[2]) for x in range(psi.shape[3])]
    return sum(positions, torch.zeros(psi.shape[1])) / len(positions)


def literal_classifier(network: Classifier, image: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The plain classifier of one image: the hidden layer of attribute n, and the scores of its classes."""
    layer, (_, head) = network.features[n], network.heads[n].children()
    assert isinstance(layer, nn.Linear) and isinstance(head, nn.Linear)
    hidden = layer.weight @ literal_mean(network.backbone(normalize(image[None]))) + layer.bias
    hidden = torch.where(hidden > 0, hidden, 0)
    return hidden, head.weight @ hidden + head.bias


def literal_one_space(network: TripletNetwork | AMNet, image: Tensor) -> Tensor:
    """The triplet network and AMNet of one image: backbone -> average pool -> FC, for every attribute."""
    layer = network.embed_fc
    return layer.weight @ literal_mean(network.backbone(normalize(image[None]))) + layer.bias


def literal_attnfashion(network: AttnFashion, image: Tensor, n: int) -> Tensor:
    """AttnFashion of one image: α = softmax_s w·relu(T ψ_s + U a), v = Σ α ψ, σ(W2 relu(W1 v + V a)) ⊙ v."""
    psi, condition = network.backbone(normalize(image[None]))[0].flatten(1).T, network.attr_embedding.weight[n]
    query = network.spatial_query.weight @ condition
    scores = []
    for position in psi:
        key = network.spatial_key.weight @ position + network.spatial_key.bias + query
        scores.append((network.spatial_score.weight[0] * torch.where(key > 0, key, 0)).sum())
    total = sum(torch.exp(score) for score in scores)
    vector = torch.zeros(network.channels)
    for score, position in zip(scores, psi, strict=True):
        vector = vector + torch.exp(score) / total * position
    hidden = network.channel_reduce(vector) + network.channel_query.weight @ condition
    gate = 1 / (1 + torch.exp(-network.channel_expand(torch.where(hidden > 0, hidden, 0))))
    return gate * vector


def literal_asen(network: ASEN, image: Tensor, n: int) -> Tensor:
    """ASEN of one image 3×H×W."""
    psi = network.backbone(normalize(image[None]))
    one_hot = torch.zeros(1, network.count)
    one_hot[0, n] = 1
    if network.switched("without_spatial"):
        vector = psi.mean((2, 3))
    else:
        mask = torch.tanh(network.mask_fc1(one_hot))[:, :, None, None]
        scores = torch.tanh(network.conv2(torch.tanh(network.conv1(psi)) * mask))
        attention = torch.softmax(scores.flatten(2), 2).view_as(scores)
        vector = (psi * attention).sum((2, 3))
    if not network.switched("without_channel"):
        joined = torch.cat([vector, torch.relu(network.mask_fc2(one_hot))], 1)
        vector = vector * torch.sigmoid(network.fc2(torch.relu(network.fc1(joined))))
    return network.feature_fc(vector)[0]


def literal_conditional(module: ConditionalAttention, psi: Tensor, condition: Tensor) -> Tensor:
    """`ConditionalAttention` of one map 1×C×h×w under one condition (table)."""
    if module.spatial:
        keys = torch.tanh(module.img_bn1(module.conv1(psi)))
        query = torch.tanh(module.attr_transform1(condition[None]))[:, :, None, None]
        scores = (keys * query).sum(1, keepdim=True) / module.hidden**0.5
        vector = (psi * torch.softmax(scores.flatten(2), 2).view_as(scores)).sum((2, 3))
    else:
        vector = psi.mean((2, 3))
    if module.channel:
        joined = torch.cat([vector, torch.relu(module.attr_transform2(condition[None]))], 1)
        vector = vector * torch.sigmoid(module.fc2(torch.relu(module.fc1(joined))))
    return vector[0]


def literal_csn(network: CSN, image: Tensor, n: int) -> Tensor:
    """CSN of one image."""
    vector = network.embed_fc(F.adaptive_avg_pool2d(network.backbone(normalize(image[None])), 1).flatten(1))
    return (vector * torch.relu(network.masks(torch.tensor([n]))))[0]


def literal_asen_pp(network: ASENpp, image: Tensor, n: int) -> tuple[Tensor, Tensor, list[float]]:
    """ASEN++ of one image: ĝ, l̂, and the box of the second look (left, top, right, bottom) in pixels."""
    picture = normalize(image[None])
    condition, module = network.attr_embedding.weight[n], network.attention
    psi = network.backbone(picture)
    whole = network.feature_fc(literal_conditional(module, psi, condition))
    keys, query = torch.tanh(module.conv1(psi)), torch.tanh(module.attr_transform1(condition))
    attention = torch.softmax((keys[0] * query[:, None, None]).sum(0).flatten() / module.hidden**0.5, 0)
    box = literal_box(attention.view(psi.shape[2:]), picture.shape[2], picture.shape[3])
    side = -(-max(picture.shape[2:]) // 32) * 16  # half of the longer side, as the backbone's stride divides it
    rows, columns = (
        literal_samples(box[1], box[3], picture.shape[2], side),
        literal_samples(box[0], box[2], picture.shape[3], side),
    )
    crop = rows @ picture[0] @ columns.T
    local = literal_conditional(network.local_attention, network.local_backbone(crop[None]), condition)
    return F.normalize(whole, dim=0), F.normalize(network.local_feature_fc(local), dim=0), box


def literal_box(attention: Tensor, height: int, width: int) -> list[float]:
    """Pixels of at least a tenth of the range of the upsampled map -> their box, squared, moved into the picture."""
    large = F.interpolate(attention[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
    scaled = ((large - large.min()) / (large.max() - large.min())).tolist()
    ys = [y for y in range(height) for x in range(width) if scaled[y][x] >= 0.1]
    xs = [x for y in range(height) for x in range(width) if scaled[y][x] >= 0.1]
    side = max(max(ys) + 1 - min(ys), max(xs) + 1 - min(xs))
    starts = []
    for first, last, length in ((min(xs), max(xs) + 1, width), (min(ys), max(ys) + 1, height)):
        start = (first + last - side) / 2
        starts.append((length - side) / 2 if side > length else min(max(start, 0.0), length - side))
    return [starts[0], starts[1], starts[0] + side, starts[1] + side]


def literal_samples(start: float, end: float, length: int, bins: int) -> Tensor:
    """ROI align along one side of a picture: each of the bins' weights of its pixels, bins×length.

    A bin is the mean of its ⌈size/bins⌉ evenly spread points; one more than a pixel outside is black.
    """
    weights, points = torch.zeros(bins, length), max(1, math.ceil((end - start) / bins))
    for i in range(bins):
        for k in range(points):
            place = start + (end - start) / bins * (i + (k + 0.5) / points) - 0.5
            if -1 <= place <= length:
                place = min(max(place, 0.0), length - 1.0)
                low = int(place)
                weights[i, low] += (1 - (place - low)) / points
                weights[i, min(low + 1, length - 1)] += (place - low) / points
    return weights


def literal_agman(network: AGMAN, image: Tensor, n: int) -> tuple[Tensor, Tensor | None]:
    """AG-MAN of one image: embedding, and the branch's logits."""
    off = network.switched
    low, psi = network.backbone.levels(normalize(image[None]))
    both = psi
    if not off("without_hierarchy"):
        lifted = network.lift(F.max_pool2d(low, 3, 2, 1))
        both = psi + lifted[:, :, : psi.shape[2], : psi.shape[3]]
    x = psi if off("without_hierarchy") else torch.cat([psi, both], 1)
    x = network.conv1(network.w * x)
    attribute = network.attr_embedding(torch.tensor([n]))
    if off("without_asa"):
        attended = x / (x.shape[2] * x.shape[3])
    else:
        first = network.attr_transform1(attribute)
        first = torch.sigmoid(first) * first
        keys = torch.tanh(network.img_bn1(x))
        scores = (keys * first[:, :, None, None]).sum(1, keepdim=True) / network.hidden**0.5
        attended = x * network.w1 * torch.softmax(scores.flatten(2), 2).view_as(scores)
    if not off("without_sa"):
        planes = torch.cat([attended.mean(1, keepdim=True), attended.max(1, keepdim=True).values], 1)
        attended = torch.sigmoid(network.sa["conv1"](planes)) * attended
    vector = attended.sum((2, 3))
    if not off("without_aca"):
        second = network.attr_transform2(attribute)
        second = torch.sigmoid(second) * second
        gate = torch.sigmoid(network.fc2(torch.relu(network.fc1(torch.cat([vector, second], 1)))))
        vector = vector * network.w2 * gate
    if not off("without_ca"):
        vector = vector * torch.sigmoid(network.ca["fc2"](F.leaky_relu(network.ca["fc1"](vector))))
    if not off("without_mask"):
        vector = vector * torch.relu(network.masks(torch.tensor([n])))
    branch = None
    if not off("without_branch"):
        branch = network.branch(F.adaptive_avg_pool2d(network.backbone.layer4(both), 1).flatten(1))[0]
    return vector[0], branch
