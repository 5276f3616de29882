"""Use cases: load, decide, flush; the only `await` in the domain."""
