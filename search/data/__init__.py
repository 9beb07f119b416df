"""Data sets for a search: training, validation and test images that never mix."""

from search.data.archive import load_archive
from search.data.dataset import Data, DataError, Split
from search.data.digits import load_digits

__all__ = ["Data", "DataError", "Split", "load_archive", "load_digits"]
