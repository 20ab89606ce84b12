"""Several processes are tested in tests/train/test_distributed.py; here a group of one, against torch's own layer."""

import pytest
import torch
from torch import distributed, nn

from doctored.layers.joint_batch_norm import JointBatchNorm2d


@pytest.fixture
def process_group(tmp_path):
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def check_against_torch():
    ours = JointBatchNorm2d(3, eps=1e-3, momentum=0.01)
    theirs = nn.BatchNorm2d(3, eps=1e-3, momentum=0.01, affine=False)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        # A mean far from zero, where a variance from sums of squares would be off.
        ours_in = (torch.randn(2, 3, 5, 7, generator=generator) * 0.1 + 50).requires_grad_()
        theirs_in = ours_in.detach().clone().requires_grad_()
        weights = torch.randn(2, 3, 5, 7, generator=generator)
        results = ours(ours_in), theirs(theirs_in)
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)
        for result in results:
            (result * weights).sum().backward()
        torch.testing.assert_close(ours_in.grad, theirs_in.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert ours.num_batches_tracked == 2
    torch.testing.assert_close(ours.eval()(ours_in), theirs.eval()(ours_in))


def test_alone_it_is_torch_s_batch_norm():
    check_against_torch()


@pytest.mark.usefixtures("process_group")
def test_in_a_group_of_one_it_is_torch_s_batch_norm():
    check_against_torch()


def test_nothing_is_learned():
    assert not list(JointBatchNorm2d(3, eps=1e-3, momentum=0.01).parameters())
