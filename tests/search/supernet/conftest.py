"""A problem that is learned in a second: where on the image is the bright square?"""

import numpy as np
import pytest
import torch

from search.data import Data, Split
from search.spaces import MobileSpace


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def squares(n, rng):
    labels = torch.from_numpy(rng.integers(0, 3, n))
    images = torch.from_numpy(rng.normal(0, 0.5, (n, 1, 8, 8)).astype(np.float32))
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 2 * label : 2 * label + 3, 2 * label : 2 * label + 3] += 1
    return Split(images, labels)


@pytest.fixture(scope="session")
def data():
    rng = np.random.default_rng(0)
    return Data("squares", squares(200, rng), squares(150, rng), squares(100, rng), 3)


@pytest.fixture(scope="session")
def space():
    return MobileSpace((1, 8, 8), 3, stem=4, widths=((4, 8), (8, 12)), depth=2, expansions=(1, 2))
