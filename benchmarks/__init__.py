"""Measurements of neurosim: speed against its peers, and the baselines of papers."""
