import gzip

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import nn

from search.export import export_tflite, verify
from tests.search.export.networks import DATA, ResNet20

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def resnet():
    weights = DATA / "resnet_cifar10" / "resnet20-12fca82f.th"
    if not weights.exists():
        pytest.skip(f"{weights} is absent: set GAUNTLET_DATA")
    network = ResNet20()
    state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return network.eval()


def cifar10(file, count):
    path = DATA / "cifar10" / file
    if not path.exists():
        pytest.skip(f"{path} is absent: set GAUNTLET_DATA")
    records = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(-1, 3073)[:count]
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
    std = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    return torch.from_numpy((pixels - mean) / std), torch.from_numpy(records[:, 0].astype(np.int64))


def test_a_trained_resnet20_in_float32(resnet):
    pixels, _ = cifar10("lossless_test1000.bin.gz", 100)
    agreement = verify(export_tflite(resnet, (1, 3, 32, 32)), resnet, pixels)
    assert agreement.relative_difference <= 1e-4
    assert agreement.top1 == 1


def test_a_trained_resnet20_in_int8(resnet):
    calibration, _ = cifar10("lossless_train4000.bin.gz", 128)
    pixels, _ = cifar10("lossless_test1000.bin.gz", 1000)
    agreement = verify(export_tflite(resnet, (1, 3, 32, 32), calibration=calibration), resnet, pixels)
    assert agreement.top1 >= 0.97


def test_a_network_trained_on_digits_in_int8():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    torch.manual_seed(0)
    pixels = torch.from_numpy((digits.images / 8 - 1).astype(np.float32))[:, None]
    labels = torch.from_numpy(digits.target)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    order = torch.arange(len(labels)).roll(7)
    for _ in range(12):
        for part in order[:1400].split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(pixels[part]), labels[part]).backward()
            optimizer.step()
    network.eval()
    exported = export_tflite(network, (1, 1, 8, 8), calibration=pixels[order[:128]])
    agreement = verify(exported, network, pixels[order[1400:]])
    accuracy = (network(pixels[order[1400:]]).argmax(1) == labels[order[1400:]]).float().mean()
    assert accuracy > 0.8
    assert agreement.top1 >= 0.97
