"""Strategies that learn a distribution over architectures by policy gradient."""
