"""Logs: one line an event, for people (text) or for machines (JSON), on standard error."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

QUIETED = {"kopf": logging.WARNING, "urllib3": logging.WARNING, "asyncio": logging.WARNING}


def set_up(style: str, level: str) -> None:
    """`style` is text or json; `level` one of logging's names."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(
            JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=names)
        )
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in QUIETED.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level.upper())))
