"""Does it stay as fast when much is waiting? `make bench-backlog`. See docs/performance.md."""
