"""PostgreSQL: the only place that writes SQL."""
