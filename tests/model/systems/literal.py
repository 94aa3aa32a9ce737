"""Systems without a class level, word for word and slowly: one image and attribute at a time, every map made."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.preparation import normalize
from model.systems.agman import AGMAN
from model.systems.asen import ASEN
from model.systems.asen_pp import ASENpp
from model.systems.conditional import ConditionalAttention
from model.systems.csn import CSN


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


def literal_asen_pp(network: ASENpp, image: Tensor, n: int, box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """ASEN++ of one image: ĝ, and l̂ of a box (left, top, right, bottom) in it that is as large as the crop."""
    picture = normalize(image[None])
    condition = network.attr_embedding.weight[n]
    whole = network.feature_fc(literal_conditional(network.attention, network.backbone(picture), condition))
    left, top, right, bottom = box
    psi = network.local_backbone(picture[:, :, top:bottom, left:right])
    local = network.local_feature_fc(literal_conditional(network.local_attention, psi, condition))
    return F.normalize(whole, dim=0), F.normalize(local, dim=0)


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
