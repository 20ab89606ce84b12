import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from doctored.core.errors import ConfigError, DataError
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.train.finetune import Example, ExampleCrops, FinetuneTask, usable_examples
from doctored.train.loop import train
from doctored.train.settings import FinetuneSettings


@pytest.fixture
def folder(tmp_path):
    """Twelve forgeries with a bright square, and twelve authentic pictures, all of 100 x 120 px."""
    rng = np.random.default_rng(0)
    root = tmp_path / "mine"
    for name in ("images", "masks", "authentic"):
        (root / name).mkdir(parents=True)
    for number in range(12):
        pixels = rng.integers(0, 200, (100, 120, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "authentic" / f"a{number}.png")
        mask = np.zeros((100, 120), np.uint8)
        mask[10 + number : 40 + number, 60:100] = 255
        pixels[mask > 0] = 255
        Image.fromarray(pixels).save(root / "images" / f"f{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"f{number}.png")
    return root


def names(examples):
    return {example.picture.name for example in examples}


def test_the_same_pictures_are_held_out_every_time_and_none_is_in_both(folder):
    learn, held_out, skipped = usable_examples(folder, 64)
    assert not skipped
    assert len(learn) + len(held_out) == 24
    assert not names(learn) & names(held_out)
    for part in (learn, held_out):
        assert any(example.mask is not None for example in part)
    (folder / "authentic" / "a3.png").unlink()
    again, held_out_again, _ = usable_examples(folder, 64)
    assert names(again) == names(learn) - {"a3.png"}
    assert names(held_out_again) == names(held_out) - {"a3.png"}


@pytest.mark.parametrize("kept", [(3, 5), (0, 1), (7, 11), (2, 10)])
def test_two_forgeries_are_one_to_learn_from_and_one_to_check_on(folder, kept):
    for number in set(range(12)) - set(kept):
        (folder / "images" / f"f{number}.png").unlink()
        (folder / "masks" / f"f{number}.png").unlink()
    learn, held_out, _ = usable_examples(folder, 64)
    assert [sum(example.mask is not None for example in part) for part in (learn, held_out)] == [1, 1]


def test_a_forgery_and_its_original_of_the_same_name_stay_together(folder):
    for number in range(12):
        shutil.move(folder / "authentic" / f"a{number}.png", folder / "authentic" / f"f{number}.png")
    learn, held_out, _ = usable_examples(folder, 64)
    assert held_out
    assert not names(learn) & names(held_out)


def test_what_cannot_be_used_is_named_with_the_reason(folder):
    Image.new("RGB", (50, 200)).save(folder / "authentic" / "narrow.png")
    (folder / "authentic" / "broken.png").write_bytes(b"nothing")
    Image.new("L", (120, 100)).save(folder / "masks" / "f1.png")
    Image.new("L", (60, 50), 255).save(folder / "masks" / "f2.png")
    _, _, skipped = usable_examples(folder, 64)
    reasons = {skip.file.replace("\\", "/"): skip.reason for skip in skipped}
    assert set(reasons) == {
        "authentic/narrow.png",
        "authentic/broken.png",
        "images/f1.png",
        "images/f2.png",
    }
    assert "50 x 200" in reasons["authentic/narrow.png"]
    assert "marks nothing" in reasons["images/f1.png"]


def test_too_little_is_one_sentence(folder):
    with pytest.raises(DataError, match="at least 128"):
        usable_examples(folder, 128)
    shutil.rmtree(folder / "masks")
    with pytest.raises(DataError, match="masks"):
        usable_examples(folder, 64)


def test_crops_are_native_pixels_with_their_mask_and_show_the_forgery(folder):
    learn, _, _ = usable_examples(folder, 64)
    crops = ExampleCrops(learn, 64, seed=0)
    forged = 0
    for number in range(40):
        image, gt_mask, ignore_mask = crops[number]
        assert image.shape == (64, 64, 3)
        assert not ignore_mask.any()
        # The forged square is the only thing brighter than 200.
        np.testing.assert_array_equal((image == 255).all(axis=2), gt_mask)
        assert gt_mask.any() == (number % 2 == 0)
        assert gt_mask.mean() <= 0.5
        forged += gt_mask.any()
    assert forged == 20
    np.testing.assert_array_equal(crops[7][0], crops[7][0])


def test_a_mask_of_more_than_half_is_inverted(folder):
    Image.fromarray(255 - np.asarray(Image.open(folder / "masks" / "f4.png"))).save(
        folder / "masks" / "f4.png"
    )
    sample = Example(folder / "images" / "f4.png", folder / "masks" / "f4.png").read()
    assert sample.gt_mask.mean() == pytest.approx(0.1)


@pytest.fixture
def task(folder, toy_settings):
    learn, held_out, _ = usable_examples(folder, 64)
    torch.manual_seed(0)
    start = ManTraNet(toy_settings).state_dict()

    def make(steps):
        settings = FinetuneSettings(
            steps=steps, batch_size=2, crop_px=64, workers=0, log_steps=1, warmup_steps=0, learning_rate=1e-3
        )
        return FinetuneTask(
            settings, learn, held_out, start, {"pictures": len(learn)}, toy_settings
        ), settings

    return make


def test_the_extractor_stays_as_it_is(task, tmp_path):
    made, settings = task(2)
    before = {name: tensor.clone() for name, tensor in made.network.state_dict().items()}
    train(made, settings, tmp_path / "run", accelerator="cpu")
    after = load_file(tmp_path / "run" / "checkpoints" / "step-000000002" / "weights.safetensors")
    for name, tensor in before.items():
        if name.startswith("imtfe."):
            assert torch.equal(after[name], tensor), name
    assert not torch.equal(after["ladn.pred.weight"], before["ladn.pred.weight"])
    assert (tmp_path / "run" / "samples" / "step-000000002.png").exists()


def test_it_starts_from_a_whole_network_only(toy_settings):
    torch.manual_seed(0)
    extractor = {
        name: tensor
        for name, tensor in ManTraNet(toy_settings).state_dict().items()
        if name.startswith("imtfe.")
    }
    with pytest.raises(ConfigError, match="whole ManTra-Net"):
        FinetuneTask(FinetuneSettings(), [], [], extractor, {}, toy_settings)
