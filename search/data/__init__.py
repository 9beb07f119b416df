"""Data sets for a search: training, validation and test images that never mix."""

from search.data.augment import Augmentation
from search.data.dataset import Data, DataError, Split
from search.data.digits import load_digits
from search.data.reading import DIGITS, load

__all__ = ["DIGITS", "Augmentation", "Data", "DataError", "Split", "load", "load_digits"]
