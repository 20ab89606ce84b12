import io

import numpy as np
import pytest
from PIL import Image

from doctored.core.errors import DataError
from doctored.core.forgery import TECHNIQUES, Source
from doctored.synth.forged_file import FileRecipe, draw_file, make_file


def photograph(seed, size_hw=(200, 232)):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (size_hw[0] // 8, size_hw[1] // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    pixels = np.clip(coarse + rng.normal(0, 5, coarse.shape), 0, 255).astype(np.uint8)
    return Source(f"{seed}.png", f"{seed:064d}", pixels)


HOST, DONOR = photograph(1), photograph(2)


def decoded(data):
    with Image.open(io.BytesIO(data)) as opened:
        return opened.format, np.asarray(opened.convert("RGB"))


@pytest.mark.parametrize("domain", ["web", "lossless", "chain"])
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_file_is_what_the_last_save_writes_and_is_rebuilt_from_json(technique, domain):
    for seed in range(4):
        made = make_file(draw_file(HOST, DONOR, technique, 96, seed, domain), HOST, DONOR)
        file_format, pixels = decoded(made.data)
        save = made.recipe.save
        assert file_format == ("PNG" if save is None else save.format.upper())
        assert made.recipe.suffix == {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}[file_format]
        assert pixels.shape == made.forgery.image.shape == (96, 96, 3)
        assert made.forgery.gt_mask.shape == (96, 96)
        if save is None:
            np.testing.assert_array_equal(pixels, made.forgery.image)
        else:
            assert np.abs(pixels.astype(int) - made.forgery.image).mean() < 25
        again = make_file(FileRecipe.from_json(made.recipe.to_json()), HOST, DONOR)
        assert again.data == made.data
        np.testing.assert_array_equal(again.forgery.gt_mask, made.forgery.gt_mask)


def test_every_domain_ends_in_its_own_formats():
    formats = {
        domain: {draw_file(HOST, DONOR, "splicing", 96, seed, domain).suffix for seed in range(60)}
        for domain in ("web", "lossless", "chain")
    }
    assert formats == {"web": {".jpg"}, "lossless": {".png"}, "chain": {".jpg", ".webp", ".png"}}


def test_the_tables_in_the_file_are_those_of_the_recipe():
    from doctored.synth.steps import quantisation_tables

    recipe = draw_file(HOST, DONOR, "authentic", 96, 0, "web")
    with Image.open(io.BytesIO(make_file(recipe, HOST, DONOR).data)) as opened:
        written = [list(opened.quantization[index]) for index in (0, 1)]
    assert written == quantisation_tables(recipe.save)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"picture": {}, "save": {"nonsense": 1}}'])
def test_other_text_is_no_recipe_of_a_file(text):
    with pytest.raises(DataError, match="no recipe of a file"):
        FileRecipe.from_json(text)
