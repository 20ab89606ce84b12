"""ManTra-Net: trace features, then local anomalies among them."""

import torch
from torch import nn

from doctored.models.mantranet.imtfe import IMTFE
from doctored.models.mantranet.ladn import LADN
from doctored.models.mantranet.settings import ManTraNetSettings


class ManTraNet(nn.Module):
    """One forgery likelihood per pixel, at the size of the picture.

    Shapes:
        image: (B, 3, H, W), float32, in [0, 1]; any H and W.
        result: localization_logits (B, 1, H, W), float32; their sigmoid is 1 where manipulated.

    Paper: Wu, AbdAlmageed and Natarajan, CVPR 2019.
    """

    def __init__(self, settings: ManTraNetSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or ManTraNetSettings()
        self.imtfe = IMTFE(self.settings)
        self.ladn = LADN(self.settings)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.ladn(self.imtfe(image))
