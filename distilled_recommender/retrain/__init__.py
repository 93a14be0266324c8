"""`distilled-recommender retrain`: a new model from new events, if it is no worse."""
