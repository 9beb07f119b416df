import subprocess
import sys

import numpy as np
import pytest

from fault_injection.sites import CONV, DENSE, DEPTHWISE, SiteLink


def link(kind, flattened=None):
    return SiteLink("layer", kind, "layer.weight", "layer", "none", flattened)


@pytest.mark.parametrize(
    ("site", "shape", "in_torch", "in_file"),
    [
        (link(CONV), (4, 3, 5, 2), (1, 2, 4, 1), (1, 4, 1, 2)),
        (link(DEPTHWISE), (6, 1, 5, 2), (3, 0, 4, 1), (0, 4, 1, 3)),
        (link(DENSE), (4, 30), (1, 17), (1, 17)),
        # Channel 1, row 3, column 1 of a map of 3 × 5 × 2.
        (link(DENSE, (3, 5, 2)), (4, 30), (1, 1 * 10 + 3 * 2 + 1), (1, 3 * 6 + 1 * 3 + 1)),
    ],
)
def test_a_weight_is_found_in_the_file(site, shape, in_torch, in_file):
    places = site.in_file_order(np.arange(np.prod(shape)).reshape(shape))
    assert places[in_file] == np.ravel_multi_index(in_torch, shape)
    assert sorted(places.ravel()) == list(range(places.size))


def test_links_need_neither_numpy_nor_torch():
    code = "import sys, fault_injection.sites; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
