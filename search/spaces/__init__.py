"""Search spaces: the sets of networks that a campaign chooses from."""

from search.spaces.base import Architecture, Space, SpaceError
from search.spaces.mobile import MobileSpace

__all__ = ["Architecture", "MobileSpace", "Space", "SpaceError"]
