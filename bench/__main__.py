"""Prints all figures: `python -m bench`, or some of them: `python -m bench mutations live`."""

import asyncio
import importlib
import sys

ALL = (
    *("read", "mutations", "fanout", "live", "calendar", "recurrence", "series"),
    *("reminders", "distributed", "dapr"),
)

for name in sys.argv[1:] or ALL:
    print(f"== {name}")
    asyncio.run(importlib.import_module(f"bench.{name}").main())
