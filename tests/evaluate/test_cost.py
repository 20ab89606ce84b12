import math

import pytest

from doctored.core.errors import ConfigError, ModelError
from doctored.evaluate.cost import catalogued_models, count_operations, measure_costs
from doctored.models.catalog import CATALOG


def test_operations_of_the_embedded_model_are_those_of_its_network():
    """Counted by hand from the settings, and again by PyTorch's counter on the module."""
    torch = pytest.importorskip("torch")
    from dataclasses import asdict

    from doctored.evaluate.cost import _count_in_torch
    from doctored.predict.detector import EMBEDDED
    from doctored.predict.weights import read_exported

    settings = read_exported(EMBEDDED / "mantranet").settings
    parameters, macs = count_operations("mantranet")
    network = CATALOG["mantranet"].build(asdict(settings))
    with torch.no_grad():
        torch_parameters, torch_macs = _count_in_torch(network)
    # The exported graph stores the fixed SRM filters too, and scales Z scores by a grouped convolution.
    assert macs == pytest.approx(torch_macs, rel=1e-4)
    assert parameters == pytest.approx(torch_parameters, rel=1e-3)
    a, b, c, d, e = settings.widths
    first, features, hidden = (
        settings.first_layer_filters,
        settings.feature_channels,
        settings.hidden_channels,
    )
    adapted, steps = settings.adapted_channels, len(settings.window_sizes) + 1
    convolutions = (
        3 * first * 25
        + 9
        * (first * a + a * b + b * b + b * c + 2 * c * c + c * d + 2 * d * d + d * e + e * e + e * features)
        + features * adapted
        + 49 * (steps * adapted * 4 * hidden + (steps - 1) * hidden * 4 * hidden + hidden)
    )
    assert macs == pytest.approx(convolutions, rel=1e-4)


def test_models_without_weights_have_no_parameters_and_every_installed_model_is_listed():
    assert count_operations("ela") == count_operations("copy-search") == (0, 0.0)
    assert set(catalogued_models()) == {
        name for name, entry in CATALOG.items() if entry.kind == "yardstick"
    } | {"both", "mantranet", "constrained-rcnn", "copy-search", "grid-search"}


def test_a_combination_costs_what_its_models_cost():
    """The graphs lie in their own folders, and none in that of the combination."""
    counts = [
        count_operations(name) for name in ("mantranet", "constrained-rcnn", "copy-search", "grid-search")
    ]
    parameters, macs = count_operations("both")
    assert parameters == sum(one for one, _ in counts) > 1_000_000
    assert macs == pytest.approx(sum(one for _, one in counts))


def test_costs_are_measured_in_processes_of_their_own():
    steps = []
    costs = measure_costs(["centre", "noise"], (0.05, 1.0), on_progress=lambda *step: steps.append(step))
    assert [(cost.model, cost.megapixels) for cost in costs] == [
        ("centre", 0.05),
        ("centre", 1.0),
        ("noise", 0.05),
        ("noise", 1.0),
    ]
    assert all(cost.seconds_per_mp > 0 for cost in costs)
    small, large = costs[2:]
    if small.peak_memory_mb is not None:
        assert small.peak_memory_mb < large.peak_memory_mb < small.peak_memory_mb + 400
    assert steps == [(number, 4) for number in range(1, 5)]


def test_wrong_costs_are_named():
    with pytest.raises(ConfigError, match="-1 megapixels"):
        measure_costs(["centre"], (-1,))
    with pytest.raises(ConfigError, match=r"inf megapixels.*finite"):
        measure_costs(["centre"], (math.inf,))
    with pytest.raises(ModelError, match="no model 'nobody'"):
        measure_costs(["nobody"], (0.1,))


def test_operations_of_an_exported_region_network_are_those_on_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    from doctored.evaluate.cost import _count_in_torch
    from doctored.predict.export import export_constrained_rcnn
    from models.constrained_rcnn.toys import overfitted_toy

    network = overfitted_toy()
    exported = export_constrained_rcnn(network, tmp_path / "model")
    parameters, macs = count_operations(str(exported.folder))
    with torch.no_grad():
        torch_parameters, torch_macs = _count_in_torch(network)
    # With fewer proposals than there may be PyTorch counts less of the heads.
    assert torch_macs * 0.99 < macs < torch_macs * 1.5
    assert parameters == pytest.approx(torch_parameters, rel=0.02)
