"""Measurements to run, never to assert: `make bench`. Machines are noisy, so medians, side by side."""
