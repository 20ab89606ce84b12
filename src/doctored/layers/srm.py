"""The three fixed high-pass filters that ManTra-Net takes from the steganalysis rich model (SRM)."""

import torch

# Second-order, 5 x 5 "KV", and horizontal second derivative; each is centred in 5 x 5 and divided as named.
_SECOND_ORDER = [[0, 0, 0, 0, 0], [0, -1, 2, -1, 0], [0, 2, -4, 2, 0], [0, -1, 2, -1, 0], [0, 0, 0, 0, 0]]
_KV = [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]
_HORIZONTAL = [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, -2, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
_BASE_KERNELS = ((_SECOND_ORDER, 4.0), (_KV, 12.0), (_HORIZONTAL, 2.0))


def srm_kernels() -> torch.Tensor:
    """The nine SRM filters of ManTra-Net's first layer.

    Filter 3 * k + c applies base kernel k to colour channel c alone; colours are never mixed.

    Shapes:
        result: (9, 3, 5, 5), float32. Every filter sums to 0.

    Differs: the published overview drawing shows three SRM filters; the released code has these nine.
    """
    kernels = torch.zeros(9, 3, 5, 5)
    for k, (rows, divisor) in enumerate(_BASE_KERNELS):
        for channel in range(3):
            kernels[3 * k + channel, channel] = torch.tensor(rows) / divisor
    return kernels
