"""qmanager: a task queue that needs nothing but Python."""
