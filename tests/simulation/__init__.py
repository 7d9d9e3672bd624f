"""Years of contracts in seconds: the operator itself, on a simulated clock, among neighbours that fail.

`python -m tests.simulation --help` says how to run it.
"""
