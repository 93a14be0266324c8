"""`distilled-recommender retrain`: publishes a student of new events if it is no worse."""
