"""Alerts: findings become incidents with a life cycle. Pure; sinks do the I/O."""
