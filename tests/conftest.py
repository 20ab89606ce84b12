"""Settings of the whole test run."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> None:
    """Toy networks gain nothing from several threads, and lose a factor of seven beside a busy neighbour."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
