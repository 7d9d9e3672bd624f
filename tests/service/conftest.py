"""The running world of the cluster tests, for what is seen of it from outside."""

from tests.cluster.conftest import client, world

__all__ = ["client", "world"]
