import torch

from doctored.models.constrained_rcnn.box_head import BoxHead
from models.constrained_rcnn.toys import TOY_COMPAT


@torch.no_grad()
def test_both_answers_come_from_the_mean_of_block_4():
    torch.manual_seed(0)
    head = BoxHead(TOY_COMPAT)
    crops = torch.randn(3, 32, 7, 7)
    logits, deltas = head(crops)
    vector = head.block4(crops).flatten(2).mean(dim=2)
    torch.testing.assert_close(logits, vector @ head.cls_score.weight.T + head.cls_score.bias)
    # Four outputs in a row belong to one class.
    flat = vector @ head.bbox_pred.weight.T + head.bbox_pred.bias
    assert deltas.shape == (3, 5, 4)
    torch.testing.assert_close(deltas[:, 2], flat[:, 8:12])
