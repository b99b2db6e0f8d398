#!/usr/bin/env python3
"""Measures speed, cost and memory: `make bench`, or `bench/run.py TOPIC …` for some of it. Each topic is a module of `topics`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import machine, report
from bench.figures import Scale, Topic

TOPICS = (
    "cost",
    "throughput",
    "dissect",
    "wire",
    "store",
    "query",
    "memory",
    "loss",
    "latency",
    "imports",
    "addrman",
    "log",
    "node",
)


def main() -> int:
    """Measure what was asked for; 1 when something could not be measured or must be better than it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"what to measure: {', '.join(TOPICS)}")
    parser.add_argument("--quick", action="store_true", help="only see that everything works")
    parser.add_argument("--json", action="store_true", help="one figure a line")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    options = parser.parse_args()
    if unknown := [name for name in options.topics if name not in TOPICS]:
        parser.error(f"no topic {unknown[0]}; there are {', '.join(TOPICS)}")
    about = machine.description()
    status = 0
    if not options.json:
        print(about)
    for name in options.topics or TOPICS:
        topic: Topic = importlib.import_module(f"bench.topics.{name}").TOPIC
        if topic.traces and os.geteuid() != 0:
            print(f"{name}: only root can trace; not measured", file=sys.stderr)
            status = 1
            continue
        began = time.monotonic()
        figures = topic.measure(Scale(options.quick))
        if options.json:
            print(report.as_json(name, figures), flush=True)
        else:
            print(f"\n{topic.title} ({name}, {time.monotonic() - began:.0f} s)\n{report.table(figures)}", flush=True)
        if options.write:
            command = f"bench/run.py {name}{' --quick' if options.quick else ''}"
            caption = f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}: {about}."
            report.write(name, f"{topic.about}\n\n{report.markdown(figures)}\n\n{caption}")
        if not options.quick and any(f.budget and not f.meets(f.budget.must) for f in figures):
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
