"""Clients of certification authorities. They implement `engine.ports.Authority`."""
