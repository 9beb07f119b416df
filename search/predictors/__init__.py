"""What is not yet measured, predicted, with how sure we are.

One base, one contract suite (`tests/search/predictors/contract.py`).
"""
