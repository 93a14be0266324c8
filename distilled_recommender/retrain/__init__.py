"""`distilled-recommender retrain`: trains a student on the event log, new events included.

The student is published if it is no worse than the active bundle.
"""
