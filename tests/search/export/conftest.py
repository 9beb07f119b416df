import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    """On layers as small as these, torch's threads wait for each other, above all beside other processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
