"""Putting the large convolutions of an OpenVINO model into bfloat16, and nothing else."""

from collections.abc import Sequence
from typing import Any

from doctored.predict.openvino_runtime import load_openvino

# What may sit between a convolution and the next without leaving bfloat16.
_POINTWISE = ("Add", "Relu", "Tanh")
_OUTPUT_LAYERS = ("cls_score", "bbox_pred", "head.narrow", "head.predict")


def large_convolutions(model: Any) -> list[Any]:
    """The convolutions of an exported ManTra-Net that lower precisions are for: those of 3 x 3 and 7 x 7.

    The 5 x 5 ones are the first layer and the 1 x 1 one is the adaptation, which stay in float32.
    """
    return [
        operation
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "Convolution" and operation.input_value(1).get_shape()[-1] in (3, 7)
    ]


def deep_convolutions(model: Any) -> list[Any]:
    """The convolutions of an exported Constrained R-CNN that lower precisions are for.

    Those that read pixels, residuals or pooled attention, 3 channels at most, and those that put out scores, deltas and
    masks stay in float32.
    """
    return [
        operation
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "Convolution"
        and operation.input_value(1).get_shape()[1] > 3
        and not any(part in operation.get_friendly_name() for part in _OUTPUT_LAYERS)
    ]


def convert_to_bfloat16(model: Any, convolutions: Sequence[Any]) -> None:
    """Rewrite a float32 `openvino.Model` in place so that some of its convolutions compute in bfloat16.

    The engine's own precision hint would turn the whole model, and with it the first layer and the statistics,
    to bfloat16. Conversions written into the graph say exactly where it begins and ends.
    """
    returns: set[str] = set()  # names of the conversions back to float32
    for convolution in convolutions:
        _enter_bfloat16(convolution, returns)
        _return_to_float32(convolution, returns)
    model.validate_nodes_and_infer_types()


def _enter_bfloat16(convolution: Any, returns: set[str]) -> None:
    _convert_input(convolution.input(1))
    before = convolution.input_value(0).get_node()
    entry = convolution.input(0)
    if before.get_type_name() == "Pad":
        entry = before.input(0)
        if before.get_input_size() == 4:
            _convert_input(before.input(3))  # the value to pad with
    source = entry.get_source_output()
    if source.get_node().get_friendly_name() in returns:
        # The convolution before has just left bfloat16: go on from there.
        entry.replace_source_output(source.get_node().input_value(0))
    else:
        _convert_input(entry)


def _return_to_float32(convolution: Any, returns: set[str]) -> None:
    last = convolution
    while (follower := _only_follower(last)) is not None and follower.get_type_name() in _POINTWISE:
        if follower.get_type_name() == "Add" and not _convert_bias(follower, last):
            break
        last = follower
    users = list(last.output(0).get_target_inputs())
    back = load_openvino().opset13.convert(last.output(0), "f32")
    for user in users:
        user.replace_source_output(back.output(0))
    returns.add(back.get_friendly_name())


def _only_follower(operation: Any) -> Any | None:
    users = operation.output(0).get_target_inputs()
    return next(iter(users)).get_node() if len(users) == 1 else None


def _convert_bias(addition: Any, convolution: Any) -> bool:
    """Whether the addition adds a constant to the convolution; if so, the constant is converted."""
    for port in addition.inputs():
        node = port.get_source_output().get_node()
        if node.get_friendly_name() != convolution.get_friendly_name():
            if node.get_type_name() not in ("Constant", "Convert"):
                return False
            _convert_input(port)
    return True


def _convert_input(port: Any) -> None:
    port.replace_source_output(load_openvino().opset13.convert(port.get_source_output(), "bf16").output(0))
