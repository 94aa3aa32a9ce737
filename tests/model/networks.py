"""Small random networks for tests."""

from __future__ import annotations

import torch
from torch import nn

from model.encoder import Encoder, EncoderConfig
from model.systems import build_encoder
from model.systems.m3net import M3Net
from model.taxonomy import Attribute, Taxonomy

TAXONOMY = Taxonomy(
    (
        Attribute("collar", ("round", "v-neck", "polo")),
        Attribute("details / trim", ("belt", "bow", "buttons", "pocket"), multi_label=True),
        Attribute("Größe", ("kurz", "lang")),
    )
)


def network(system: str = "m3net", *, seed: int = 0, backbone: str = "resnet18") -> M3Net:
    """A random M3-Net in eval mode whose norms have statistics that are not the trivial ones."""
    net = encoder(system, seed=seed, backbone=backbone)
    assert isinstance(net, M3Net)
    return net


def encoder(system: str, *switches: str, seed: int = 0, backbone: str = "resnet18") -> Encoder:
    """Any system, likewise; its class centres are random too."""
    torch.manual_seed(seed)
    net = build_encoder(EncoderConfig(system=system, switches=switches, backbone=backbone), TAXONOMY)
    net.set_centres(torch.randn(TAXONOMY.class_count, net.width))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.05)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


def pictures(count: int, height: int = 48, width: int = 36, seed: int = 0) -> torch.Tensor:
    """Random uint8 pictures, smooth enough that positions differ."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 5, generator=generator)
    return (nn.functional.interpolate(coarse, (height, width), mode="bilinear") * 255).to(torch.uint8)
