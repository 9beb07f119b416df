"""Original pixels of CIFAR-10 in its binary layout."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from search.data import load

DATA = Path(os.environ.get("GAUNTLET_DATA", Path(__file__).parents[4] / "shared" / "data")) / "cifar10"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar")
    parts = [DATA / "lossless_train4000.bin.gz", DATA / "lossless_test1000.bin.gz"]
    for path in parts:
        if not path.exists():
            pytest.skip(f"{path} is absent: set GAUNTLET_DATA")
    train, test = (np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(-1, 3073) for path in parts)
    for number, batch in enumerate(np.split(train, 5), 1):
        batch.tofile(folder / f"data_batch_{number}.bin")
    test[:800].tofile(folder / "test_batch.bin")
    return load(folder)


def test_planes_are_red_green_and_blue(data):
    # The means of the whole training part are 0.491, 0.482 and 0.447; 3,600 images tell them to about 0.003.
    expected = torch.tensor([0.491, 0.482, 0.447])
    torch.testing.assert_close(data.train.images.mean((0, 2, 3)), expected, atol=0.012, rtol=0)


def test_most_images_lie_in_the_part_they_came_in_and_none_in_two(data):
    assert len(data.test) == 800
    assert len(data.train) + len(data.validation) <= 4000
    assert abs(len(data.validation) - 400) <= 10
    parts = [{image.numpy().tobytes() for image in split.images} for split in data.parts.values()]
    assert len(set.union(*parts)) == sum(map(len, parts))
