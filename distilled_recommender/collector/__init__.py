"""`distilled-recommender collect`: moves the service's event log to Parquet files."""
