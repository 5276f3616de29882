"""The recurrence engine: rules, their slots in local time, and their words; pure."""
