"""The way to a manager for producers, workers and people: a method for each verb."""

from qm.client.client import Client
from qm.client.tasks import new_task

__all__ = ["Client", "new_task"]
