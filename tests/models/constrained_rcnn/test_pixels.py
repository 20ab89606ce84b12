import torch

from doctored.models.constrained_rcnn.pixels import BGR_MEAN, network_mask, network_pixels
from doctored.models.constrained_rcnn.scaling import scaling_for
from doctored.models.constrained_rcnn.settings import ConstrainedRCNNSettings, compat


def test_the_original_reads_blue_first():
    settings = compat()
    image = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 600, 700)
    pixels = network_pixels(image, scaling_for((600, 700), settings), compat=True)
    expected = torch.tensor([0 - BGR_MEAN[0], 127.5 - BGR_MEAN[1], 255 - BGR_MEAN[2]])
    torch.testing.assert_close(pixels[0, :, 5, 5], expected)


def test_ours_reads_red_first_between_minus_one_and_one():
    image = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    pixels = network_pixels(image, scaling_for((1, 1), ConstrainedRCNNSettings()), compat=False)
    assert pixels.flatten().tolist() == [1, 0, -1]


def test_pictures_and_masks_are_enlarged_alike():
    mask = torch.zeros(300, 400, dtype=torch.bool)
    mask[100:200, 50:150] = True
    scaling = scaling_for((300, 400), compat())
    enlarged = network_mask(mask, scaling)
    assert enlarged.shape == (600, 800)
    inner, rest = enlarged[201:399, 101:299], enlarged.clone()
    rest[199:401, 99:301] = 0
    assert inner.min() == 1
    assert not rest.any()
    picture = network_pixels(mask.float().expand(1, 3, -1, -1), scaling, compat=True)[0, 0]
    torch.testing.assert_close(picture, enlarged * 255 - BGR_MEAN[0], rtol=1e-5, atol=1e-3)


def test_stored_pixels_are_read_like_their_fractions():
    image = torch.randint(0, 256, (1, 3, 30, 40), dtype=torch.uint8)
    for settings in (ConstrainedRCNNSettings(), compat()):
        scaling = scaling_for((30, 40), settings)
        of_bytes = network_pixels(image, scaling, settings.compat)
        torch.testing.assert_close(of_bytes, network_pixels(image / 255, scaling, settings.compat))
