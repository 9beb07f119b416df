"""Search spaces: the sets of networks that a campaign chooses from."""

from search.spaces.base import Architecture, Space, SpaceError
from search.spaces.choices import Choice
from search.spaces.loading import load_space
from search.spaces.mobile import MobileSpace
from search.spaces.user import UserSpace, space

__all__ = ["Architecture", "Choice", "MobileSpace", "Space", "SpaceError", "UserSpace", "load_space", "space"]
