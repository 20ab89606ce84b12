import torch

from doctored.models.constrained_rcnn.rpn import AttentionRPN
from models.constrained_rcnn.toys import TOY_COMPAT, TOY_SETTINGS


@torch.no_grad()
def test_answers_come_in_the_order_of_the_anchors():
    """Of A anchors per cell, channels k and A + k are anchor k's two scores, 4 k to 4 k + 3 its deltas."""
    torch.manual_seed(0)
    rpn = AttentionRPN(TOY_SETTINGS)
    attended, logits, deltas = rpn(torch.randn(2, 32, 3, 5))
    assert attended.shape == (2, 32, 3, 5)
    assert logits.shape == (2, 3 * 5 * 6, 2)
    scores, moves = rpn.cls_score(attended), rpn.bbox_pred(attended)
    for row, column, anchor in ((0, 0, 0), (2, 1, 5), (1, 4, 3)):
        index = (row * 5 + column) * 6 + anchor
        expected = scores[1, [anchor, 6 + anchor], row, column]
        torch.testing.assert_close(logits[1, index], expected)
        torch.testing.assert_close(deltas[1, index], moves[1, 4 * anchor : 4 * anchor + 4, row, column])


def test_attention_is_as_wide_as_its_source_says():
    assert AttentionRPN(TOY_COMPAT).cbam.mlp_1.out_features == 32 // 2
    assert AttentionRPN(TOY_SETTINGS).cbam.mlp_1.out_features == 32 // 16
