"""Which spaces have a supernet, and which one."""

import pytest
import torch

from search.errors import SearchError
from search.spaces.choices import Choice
from search.spaces.user import UserSpace
from search.supernet import Supernet
from search.supernet.base import has_supernet, make_supernet


def test_the_mobile_space_has_its_elastic_supernet(space):
    made, expected = make_supernet(space, seed=3), Supernet(space, seed=3)
    assert has_supernet(space)
    assert isinstance(made, Supernet)
    found = made.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items())


def test_networks_of_a_users_function_have_nothing_to_share():
    own = UserSpace(lambda width: torch.nn.Identity(), {"width": Choice(1, 2)}, (1, 8, 8), 3)
    assert not has_supernet(own)
    with pytest.raises(SearchError, match="no weights to share") as info:
        make_supernet(own)
    assert info.value.remedy == "train each of them alone"
