"""The data sets that can be prepared, by name."""

from doctored.core.errors import ConfigError
from doctored.data.benchmarks.casia import CASIA_V1, CASIA_V2
from doctored.data.benchmarks.coco_synthetic import COCO_SYNTHETIC
from doctored.data.benchmarks.columbia import COLUMBIA
from doctored.data.benchmarks.coverage import COVERAGE
from doctored.data.benchmarks.dso1 import DSO1
from doctored.data.benchmarks.entries import Benchmark
from doctored.data.benchmarks.folder import FOLDER
from doctored.data.benchmarks.imd2020 import IMD2020
from doctored.data.benchmarks.korus import KORUS
from doctored.data.benchmarks.nist16 import NIST16

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        CASIA_V1,
        CASIA_V2,
        COVERAGE,
        COLUMBIA,
        NIST16,
        COCO_SYNTHETIC,
        DSO1,
        IMD2020,
        KORUS,
        FOLDER,
    )
}


def benchmark_of(name: str) -> Benchmark:
    """The data set of a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"there is no data set {name!r}; choose one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
