"""The benchmarks print what they measured, and nothing that they did not."""

from bench import live


def test_a_latency_is_told_only_where_its_rate_was_reached() -> None:
    lags = [float(n) for n in range(1, 101)]

    reached = live.figure(lags, 0.96 * live.CHANGES_PER_S)
    missed = live.figure(lags, 0.94 * live.CHANGES_PER_S)

    assert "192 changes/s" in reached
    assert "p50 50.5 ms" in reached
    assert "no figure" in missed
    assert "p50" not in missed
