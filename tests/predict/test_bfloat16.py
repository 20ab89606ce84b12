from collections import Counter

import numpy as np

from doctored.predict.bfloat16 import convert_to_bfloat16, large_convolutions
from doctored.predict.openvino_engine import model_files
from doctored.predict.openvino_runtime import openvino_core
from doctored.predict.weights import ExportedModel


def _convolution_types(model: object) -> Counter[tuple[int, str]]:
    return Counter(
        (operation.input_value(1).get_shape()[-1], operation.get_element_type().get_type_name())
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "Convolution"
    )


def test_large_convolutions_alone_are_converted(exported_toy: ExportedModel):
    core = openvino_core()
    features, anomalies = (core.read_model(exported_toy.folder / name) for name in model_files("fp32"))
    assert len(large_convolutions(features)) == 12
    assert (
        len(large_convolutions(anomalies)) == 4 + 3 + 1
    )  # input and recurrent ones of each step, and the last
    for model in (features, anomalies):
        convert_to_bfloat16(model, large_convolutions(model))
        assert all(output.get_element_type().get_type_name() == "f32" for output in model.outputs)
    assert _convolution_types(features) == {(5, "f32"): 1, (3, "bf16"): 12, (1, "f32"): 1}
    assert _convolution_types(anomalies) == {(7, "bf16"): 8}


def test_the_chain_of_convolutions_stays_in_bfloat16(exported_toy: ExportedModel):
    """Going back to float32 between any two of them would cost more than the convolutions gain."""
    model = openvino_core().read_model(exported_toy.folder / model_files("fp32")[0])
    convert_to_bfloat16(model, large_convolutions(model))
    data_types = Counter(
        operation.get_element_type().get_type_name()
        for operation in model.get_ordered_ops()
        if operation.get_type_name() in ("Pad", "Relu")
    )
    assert data_types == {"bf16": 12 + 11, "f32": 1}  # the ReLU of the first layer


def test_the_statistics_and_z_scores_stay_in_float32(exported_toy: ExportedModel):
    model = openvino_core().read_model(exported_toy.folder / model_files("fp32")[1])
    convert_to_bfloat16(model, large_convolutions(model))
    names = Counter(
        (operation.get_type_name(), operation.get_element_type().get_type_name())
        for operation in model.get_ordered_ops()
        if operation.get_type_name() in ("AvgPool", "Abs", "Divide", "Tanh", "Clamp")
    )
    assert {element_type for _, element_type in names} == {"f32"}
    assert names["AvgPool", "f32"] == 6


def test_values_are_those_of_float32_but_for_rounding(exported_toy: ExportedModel):
    core = openvino_core()
    path = exported_toy.folder / model_files("fp32")[0]
    exact, lowered = core.read_model(path), core.read_model(path)
    convert_to_bfloat16(lowered, large_convolutions(lowered))
    image = np.random.default_rng(0).integers(0, 256, (1, 30, 30, 3), np.uint8)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    results = [core.compile_model(model, "CPU", options)([image])[0] for model in (exact, lowered)]
    difference = np.abs(results[0] - results[1]).mean() / results[0].std()
    assert 0 < difference < 0.1
