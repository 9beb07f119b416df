"""What to ask for next. One ask/tell base, one contract suite (`tests/search/strategies/contract.py`)."""

from search.strategies.base import Strategy
from search.strategies.nsga2 import Nsga2
from search.strategies.random import RandomSearch

__all__ = ["Nsga2", "RandomSearch", "Strategy"]
