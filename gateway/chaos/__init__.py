"""Faults on purpose: what may go wrong on AWS goes wrong here, at chosen rates and the same way for the same seed."""
