"""Measurements to run, never to assert: `make bench`. See docs/performance.md."""
