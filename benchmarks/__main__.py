"""`python -m benchmarks`: a table for people, JSON for programs, progress while it runs."""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import scenarios
from benchmarks.scenarios import Row, say
from benchmarks.stage import Stage


async def _measure(size: int, idle_seconds: float, growth: int) -> list[Row]:
    rows = scenarios.planner()
    with tempfile.TemporaryDirectory(prefix="sslorder-bench-") as directory:
        async with Stage.start(Path(directory)) as stage:
            say("the bare limit")
            rows += await scenarios.bare_limit(stage, max(1000, size // 2))
            written = next(row.value for row in rows if row.figure == "orders written")
            deleted = next(row.value for row in rows if row.figure == "1,000 Secrets deleted")
            say(f"operator started in {stage.start_operator():.1f} s")
            say("one order alone")
            rows += await scenarios.one_alone(stage, 20)
            for count, namespaces in ((size // 4, 50), (size, 50), (size, 1)):
                say(f"{count:,} orders in {namespaces} namespaces")
                rows += await scenarios.throughput(stage, count, namespaces, written)
            say("ends")
            rows += await scenarios.ends(stage, 1000, deleted)
            if growth:
                say(f"growth to {growth:,}")
                rows += await scenarios.throughput(stage, growth, 50, written)
            total = size // 4 + 2 * size + growth + 2020
            rows += await scenarios.idle(stage, idle_seconds, total)
            rows += await scenarios.cold_start(stage, total)
    return rows


def _table(rows: Sequence[Row]) -> str:
    lines, scenario = [], ""
    for row in rows:
        if row.scenario != scenario:
            scenario = row.scenario
            lines.append(f"\n{scenario}")
        ratio = f"   {row.ratio:.2f} × the limit" if row.ratio is not None else ""
        lines.append(f"  {row.figure:<48}{row.value:>12,.3f} {row.unit}{ratio}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--orders", type=int, default=2000, help="size of the throughput runs (default: %(default)s)"
    )
    parser.add_argument("--idle", type=float, default=300, help="seconds of idling (default: %(default)s)")
    parser.add_argument(
        "--growth", type=int, default=5000, help="orders added before idling (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    arguments = parser.parse_args()
    begun = time.monotonic()
    rows = asyncio.run(_measure(arguments.orders, arguments.idle, arguments.growth))
    print(_table(rows))
    print(
        f"\n{time.monotonic() - begun:.0f} s in all; Python {platform.python_version()}, {platform.machine()}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
