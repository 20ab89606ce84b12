import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from doctored.core.errors import CheckpointError, ConfigError
from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
from doctored.models.mantranet.mantranet import ManTraNet
from doctored.train.compact import write_compact
from models.constrained_rcnn.toys import TOY_SETTINGS


@pytest.fixture
def run(toy_settings, tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "run"
    folder.mkdir()
    save_file(ManTraNet(toy_settings).state_dict(), folder / "weights.safetensors")
    (folder / "model.json").write_text('{"model": "mantranet"}')
    (folder / "run.json").write_text('{"photographs": 3}')
    return folder


def test_only_the_robust_weights_are_rounded(run, tmp_path):
    write_compact(run, tmp_path / "compact")
    before, after = (
        load_file(run / "weights.safetensors"),
        load_file(tmp_path / "compact" / "weights.safetensors"),
    )
    assert before.keys() == after.keys()
    exact = {name for name in before if after[name].dtype == before[name].dtype}
    assert exact == {
        "imtfe.b1c1.plain_kernel",
        "imtfe.b1c1.constrained.raw_kernel",
        "ladn.adaptation.raw_kernel",
        "ladn.raw_min_std",
        "ladn.bnorm.running_mean",
        "ladn.bnorm.running_var",
        "ladn.bnorm.num_batches_tracked",
    }
    for name in before.keys() - exact:
        # bfloat16 keeps eight significant bits.
        torch.testing.assert_close(after[name].float(), before[name], rtol=2**-8, atol=0)
    assert json.loads((tmp_path / "compact" / "model.json").read_text()) == {"model": "mantranet"}
    assert json.loads((tmp_path / "compact" / "run.json").read_text()) == {"photographs": 3}


def test_constrained_rcnn_keeps_its_first_layer_and_statistics(run, tmp_path):
    torch.manual_seed(0)
    save_file(ConstrainedRCNN(TOY_SETTINGS).state_dict(), run / "weights.safetensors")
    write_compact(run, tmp_path / "compact")
    after = load_file(tmp_path / "compact" / "weights.safetensors")
    exact = {name for name, tensor in after.items() if tensor.dtype == torch.float32}
    statistics = {name for name in after if name.rsplit(".", 1)[1] in ("running_mean", "running_var")}
    assert statistics
    assert exact == statistics | {"constrained_conv.raw_kernel"}


def test_nothing_is_overwritten(run, tmp_path):
    write_compact(run, tmp_path / "compact")
    with pytest.raises(ConfigError, match="exists already"):
        write_compact(run, tmp_path / "compact")


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="give a run's folder"):
        write_compact(tmp_path, tmp_path / "compact")
