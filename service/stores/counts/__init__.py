"""Numbers of events by item in periods of time, in memory or in Redis."""
