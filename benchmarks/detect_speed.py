"""How long `detect` takes and how much memory it needs, against the same network run as ports run it.

    python benchmarks/detect_speed.py                                  # 1 MP: baseline, fp32, bf16, int8
    python benchmarks/detect_speed.py --isa AVX512_CORE_VNNI           # the same as a laptop sees it
    python benchmarks/detect_speed.py --no-baseline --precision auto --megapixels 0.1 1 12 25 100
    python benchmarks/detect_speed.py --network constrained-rcnn-small   # or constrained-rcnn: no baseline
    python benchmarks/detect_speed.py --model src/doctored/embedded/mantranet --run weights/mantranet
    python benchmarks/detect_speed.py --model both --no-baseline           # all witnesses, as detect runs them

Every figure comes from a process of its own, one after the other, so peaks of memory are that process's alone and
ratios belong to one run. Seconds are those of one picture with the model already loaded; compiling for the shapes
of tiles is part of them. Weights are random unless --model names a run or an export: speed does not depend on them.

The share of the peak, for ManTra-Net on OpenVINO: the seconds that its multiplications would take at the rate of four
large convolutions of the same precision, measured first, over the seconds that it took. Halos of tiles do not count
as work, the small first layer counts as if it had that precision.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LARGEST_BASELINE_MP = 1.0
_LARGEST_TORCH_MP = 12.0
_PEAK_CHANNELS, _PEAK_PX, _PEAK_LAYERS, _PEAK_RUNS = 256, 128, 4, 20


def main() -> None:
    options = _options()
    if options.one is not None:
        measure = _measure_peak if options.one.startswith("peak ") else _measure
        print(json.dumps(measure(options.one, options.megapixels[0], options.model, options.threads)))
        return
    _print_machine(options)
    with tempfile.TemporaryDirectory() as temporary:
        model = options.model or _export_random(options.network, Path(temporary) / "model")
        graphs = _mantranet_graphs(model)
        peaks = _peaks(options) if graphs else {}
        print(
            "| megapixels | what | seconds | CPU s | seconds per MP | times faster | share of peak | peak RSS, MB |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for megapixels in options.megapixels:
            reference = None
            for kind in _kinds(options, megapixels):
                result = _measure_apart(kind, megapixels, model, options)
                if kind == "baseline":
                    reference = result["seconds"]
                ratio = f"{reference / result['seconds']:.1f}" if reference else ""
                at_peak = _seconds_at_peak(kind, graphs, peaks) * megapixels
                share = f"{at_peak / result['seconds']:.2f}" if at_peak else ""
                print(
                    f"| {megapixels:g} | {result['name']} | {result['seconds']:.2f} | "
                    f"{result['cpu_seconds']:.2f} | {result['seconds'] / megapixels:.2f} | {ratio} | {share} | "
                    f"{result['peak_mb']:.0f} |",
                    flush=True,
                )


def _kinds(options: argparse.Namespace, megapixels: float) -> list[str]:
    """What to measure at a size; what is slow or needs the memory of the whole picture stops early."""
    kinds = []
    if options.baseline and options.network == "mantranet" and megapixels <= _LARGEST_BASELINE_MP:
        kinds.append("baseline")
    if options.run is not None and megapixels <= _LARGEST_TORCH_MP:
        kinds.append("torch")
    return kinds + [p for p in options.precision if p != "fp32" or megapixels <= _LARGEST_TORCH_MP]


def _mantranet_graphs(model: str) -> dict[str, float]:
    """Multiply-accumulates per pixel of the two float32 graphs of an exported ManTra-Net; of others nothing."""
    from doctored.evaluate.cost import count_in_graph
    from doctored.predict.openvino_engine import model_files

    paths = [Path(model) / name for name in model_files("fp32")]
    return {path.stem.split(".")[0]: count_in_graph(path)[1] for path in paths if path.exists()}


def _peaks(options: argparse.Namespace) -> dict[str, float]:
    """Multiply-accumulates a second of large convolutions, by precision."""
    from doctored.predict.cpu_features import fast_arithmetic

    # An anomaly detector is in bfloat16 or float32 when the extractor is in int8.
    wanted = ["fp32", *(p for p in ("bf16", "int8") if p in fast_arithmetic() or p in options.precision)]
    peaks = {}
    for precision in wanted:
        peaks[precision] = float(_measure_apart(f"peak {precision}", 1.0, "", options)["macs_per_second"])
        print(f"large convolutions, {precision}: {2 * peaks[precision] / 1e9:.0f} GFLOP/s")
    print()
    return peaks


def _seconds_at_peak(kind: str, graphs: dict[str, float], peaks: dict[str, float]) -> float:
    """For one megapixel; 0 for what the peak is not of."""
    from doctored.predict.cpu_features import fast_arithmetic

    if kind not in peaks:
        return 0.0
    detector_precision = kind
    if kind == "int8":
        detector_precision = "bf16" if "bf16" in fast_arithmetic() else "fp32"
    return 1e6 * (graphs["features"] / peaks[kind] + graphs["anomalies"] / peaks[detector_precision])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1.0], help="sizes of square pictures")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16", "int8"], help="what to measure")
    parser.add_argument(
        "--no-baseline", dest="baseline", action="store_false", help="leave the slow port out"
    )
    parser.add_argument("--model", help="an exported model or a training run; random weights if left out")
    parser.add_argument("--run", help="a training run, to be measured in PyTorch as well")
    parser.add_argument("--network", default="mantranet", help="what the random weights are of")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads of both")
    parser.add_argument("--isa", help="largest instruction set (ONEDNN_MAX_CPU_ISA), e.g. AVX512_CORE_VNNI")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # how this program calls itself
    options = parser.parse_args()
    if options.isa is not None:
        os.environ["ONEDNN_MAX_CPU_ISA"] = options.isa  # before any engine is loaded, and for the processes
        if options.isa == "AVX512_CORE_VNNI" and "bf16" in options.precision:
            options.precision.remove("bf16")
    return options


def _print_machine(options: argparse.Namespace) -> None:
    import doctored
    from doctored.predict.cpu_features import fast_arithmetic
    from doctored.predict.openvino_runtime import load_openvino, openvino_core

    openvino = load_openvino()
    name = openvino_core().get_property("CPU", "FULL_DEVICE_NAME")
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    print(f"command: {' '.join([Path(sys.executable).name, *sys.argv])}")
    print(
        f"machine: {name}, {os.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()} {platform.release()}"
    )
    print(
        f"arithmetic: {', '.join(sorted(fast_arithmetic())) or 'fp32 only'}; limit: {options.isa or 'none'}"
    )
    print(f"threads: {options.threads}; load before: {os.getloadavg()[0]:.1f}")
    print(
        f"doctored {doctored.__version__}, OpenVINO {openvino.__version__}, NumPy {np.__version__}\n",
        flush=True,
    )


def _export_random(network: str, folder: Path) -> str:
    import torch

    from doctored.models.constrained_rcnn.constrained_rcnn import ConstrainedRCNN
    from doctored.models.constrained_rcnn.settings import NETWORKS
    from doctored.models.mantranet.mantranet import ManTraNet
    from doctored.predict.export import export_network

    torch.manual_seed(0)
    built = ManTraNet() if network == "mantranet" else ConstrainedRCNN(NETWORKS[network])
    export_network(built.eval(), folder, [_picture(0.1)])
    return str(folder)


def _measure_apart(
    kind: str, megapixels: float, model: str, options: argparse.Namespace
) -> dict[str, float | str]:
    if kind == "torch":
        model = options.run
    command = [sys.executable, __file__, "--one", kind, "--megapixels", str(megapixels), "--model", model]
    done = subprocess.run(
        [*command, "--threads", str(options.threads)], check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, float | str] = json.loads(done.stdout)
    return result


def _picture(megapixels: float) -> NDArray[np.uint8]:
    """A square of ramps and noise, made in bands so that making it needs no more memory than having it."""
    side = round((megapixels * 1e6) ** 0.5)
    rng = np.random.default_rng(0)
    pixels = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, 64):
        band = pixels[top : top + 64]
        ramp = np.linspace(40, 160, side, dtype=np.float32)[None, :, None] + 40 * np.sin(top / 300)
        band[:] = np.clip(ramp + rng.normal(0, 12, band.shape), 0, 255)
    return pixels


def _measure(kind: str, megapixels: float, model: str, threads: int) -> dict[str, float | str]:
    from doctored.predict.memory import peak_memory_mb

    pixels = _picture(megapixels)
    if kind == "baseline":
        before = time.process_time()
        name, seconds = "as ports do it, fp32", _time_baseline(pixels, threads)
    else:
        from doctored.core.picture import Picture
        from doctored.predict import Detector

        precision = "fp32" if kind == "torch" else kind
        detector = Detector.from_name(model, precision=precision, threads=threads)
        picture = Picture.from_array(pixels)
        before = time.process_time()
        seconds = detector.inspect(picture).timing.seconds
        name = "doctored, fp32 on PyTorch" if kind == "torch" else f"doctored, {kind}"
    cpu_seconds = time.process_time() - before
    return {
        "name": name,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak_memory_mb() or float("nan"),
    }


def _measure_peak(kind: str, _: float, __: str, threads: int) -> dict[str, float]:
    """The rate of a chain of 3 x 3 convolutions of many channels, which leave memory little to hold up."""
    from doctored.predict.openvino_runtime import load_openvino, openvino_core

    precision = kind.removeprefix("peak ")
    openvino = load_openvino()
    ops = openvino.opset13
    rng = np.random.default_rng(0)
    shape = [1, _PEAK_CHANNELS, _PEAK_PX, _PEAK_PX]

    def rounded(values: object, largest: float) -> object:
        if precision != "int8":
            return values
        bounds = [np.float32(bound) for bound in (-largest, largest, -largest, largest)]
        return ops.fake_quantize(values, *bounds, 255)

    parameter = ops.parameter(shape, np.float32)
    values: object = parameter
    for _ in range(_PEAK_LAYERS):
        kernel = rng.normal(0, 0.02, (_PEAK_CHANNELS, _PEAK_CHANNELS, 3, 3)).astype(np.float32)
        kernel_node = rounded(ops.constant(kernel), 0.1)
        values = ops.convolution(rounded(values, 4.0), kernel_node, [1, 1], [1, 1], [1, 1], [1, 1])
        values = ops.relu(values)
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    request = openvino_core().compile_model(openvino.Model([values], [parameter]), "CPU", settings)
    picture = rng.normal(size=shape).astype(np.float32)
    fastest = float("inf")
    for _ in range(_PEAK_RUNS):
        start = time.perf_counter()
        request(picture)
        fastest = min(fastest, time.perf_counter() - start)
    return {"macs_per_second": _PEAK_LAYERS * _PEAK_PX**2 * _PEAK_CHANNELS**2 * 9 / fastest}


def _time_baseline(pixels: NDArray[np.uint8], threads: int) -> float:
    """The plain float32 forward of the whole picture.

    Padding gathers with index arrays worked out in floating point, before every layer; the three kinds of filters
    of the first layer are three convolutions; windows are averaged one by one over all their pixels.
    """
    import torch
    import torch.nn.functional as F

    from doctored.models.mantranet.mantranet import ManTraNet

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = ManTraNet().eval()
    imtfe, ladn = network.imtfe, network.ladn
    convolutions = [layer for layer in imtfe.children() if isinstance(layer, torch.nn.Conv2d)]

    def mirrored(side: int, pad_px: int) -> torch.Tensor:
        index = torch.arange(-pad_px, side + pad_px, dtype=torch.float32)
        folded = torch.remainder(index, 2 * side)
        return torch.where(folded >= side, 2 * side - 1 - folded, folded).long()

    def padded(x: torch.Tensor, pad_px: int) -> torch.Tensor:
        rows, columns = torch.meshgrid(
            mirrored(x.shape[2], pad_px), mirrored(x.shape[3], pad_px), indexing="ij"
        )
        return x[:, :, rows, columns]

    def forward(image: torch.Tensor) -> torch.Tensor:
        x = padded(image * 2 - 1, 2)
        first = imtfe.b1c1
        kernels = (first.plain_kernel, first.srm_kernel, first.constrained.kernel)
        x = F.relu(torch.cat([F.conv2d(x, kernel) for kernel in kernels], dim=1))
        for conv in convolutions[:-1]:
            x = F.relu(F.conv2d(padded(x, 1), conv.weight, conv.bias))
        x = F.conv2d(padded(x, 1), convolutions[-1].weight, convolutions[-1].bias)
        adapted = ladn.adapt(F.normalize(x, dim=1, eps=1e-6))
        del x
        mean, sigma = ladn.global_statistics(adapted)
        means = [
            F.avg_pool2d(adapted, size, stride=1, padding=size // 2, count_include_pad=False)
            for size in ladn.window_sizes
        ]
        z_scores = torch.stack([((local - adapted) / sigma).abs() for local in (*means, mean)], dim=1)
        return torch.sigmoid(ladn.pred(ladn.clstm(z_scores)))

    with torch.inference_mode():
        image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255
        corner = image[..., :64, :64]
        if not torch.allclose(forward(corner), torch.sigmoid(network(corner)), atol=1e-4):
            raise SystemExit("the baseline is not the same network any more")
        start = time.perf_counter()
        forward(image)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
