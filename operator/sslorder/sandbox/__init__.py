"""A certification authority that speaks GlobalSign's HVCA v2, for test environments.

It issues real X.509 from a root and an intermediate of its own, keeps its state in SQLite, publishes CRLs,
and is trusted by nobody. It shares no code with the operator, so that it cannot repeat the client's mistakes.
"""
