"""The event log on disk or in an object store: Parquet files that the collector writes."""
