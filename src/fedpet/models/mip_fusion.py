"""A small convolutional network on two maximum projections, fused with clinical data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

SUV_MAX = 20.0
FILM_SCALE = 0.1


class Stage(nn.Module):
    """Convolution with stride 2, group normalisation, rectifier."""

    def __init__(self, channels_in: int, channels_out: int, *, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            channels_in, channels_out, kernel, stride=2, padding=kernel // 2, bias=False
        )
        self.norm = nn.GroupNorm(4, channels_out)

    def forward(self, images: Tensor) -> Tensor:
        """Map [n, channels_in, h, w] to [n, channels_out, h / 2, w / 2]."""
        return functional.relu(self.norm(self.convolution(images)))


class MipFusion(nn.Module):
    """One encoder for the coronal and the sagittal projection, fused with the covariates.

    Every head also sees the covariates directly, so that the clinical part starts as a linear
    model and the images only have to add to it. Group normalisation keeps sites with small
    batches and different scanners comparable; nothing is computed in place.

    Args:
        width: Channels of the first stage, a multiple of 4; later stages double it.
        image_features: Numbers that the two projections hand to the fusion.
        hidden: Units of the fusion layer.
        covariates: Columns of the design matrix.
        outputs: Logits by endpoint.
        film: Whether covariates scale and shift the image features (FiLM). Initial weights make
            both small, so that the network begins near the one without.

    Source:
        MIP networks for PET outcome: Girum et al. 2022, Ferrandez et al. 2023. Group
        normalisation: Wu & He 2018. FiLM: Perez et al. 2018; for imaging, Wolf et al. 2022 (DAFT).
    """

    def __init__(
        self,
        *,
        width: int,
        image_features: int,
        hidden: int,
        covariates: int,
        outputs: Mapping[str, int],
        film: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            Stage(1, width, kernel=5),
            Stage(width, 2 * width, kernel=3),
            Stage(2 * width, 4 * width, kernel=3),
            Stage(4 * width, 4 * width, kernel=3),
        )
        self.summary = nn.Linear(2 * 2 * 4 * width, image_features)
        self.film = nn.Linear(covariates, 2 * image_features) if film else None
        self.fusion = nn.Linear(image_features + covariates, hidden)
        self.heads = nn.ModuleDict(
            {
                name: nn.Linear(hidden + image_features + covariates, size)
                for name, size in outputs.items()
            }
        )

    def forward(self, images: Tensor, covariates: Tensor) -> dict[str, Tensor]:
        """Return logits by endpoint.

        Args:
            images: SUV projections, [n, 2, height, width].
            covariates: Standardised design matrix, [n, q].
        """
        subjects, views = images.shape[:2]
        scaled = torch.sqrt(torch.clamp(images, 0.0, SUV_MAX) / SUV_MAX)
        maps = self.encoder(scaled.flatten(0, 1).unsqueeze(1))
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        features = self.summary(pooled.reshape(subjects, views * pooled.shape[1]))
        if self.film is not None:
            scale, shift = (FILM_SCALE * self.film(covariates)).chunk(2, dim=1)
            features = features * (1 + scale) + shift
        features = torch.tanh(features)
        joined = torch.cat([features, covariates], dim=1)
        fused = torch.cat([functional.relu(self.fusion(joined)), joined], dim=1)
        return {name: head(fused) for name, head in self.heads.items()}
