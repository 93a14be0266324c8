"""The console command `distilled-recommender`, with one sub-command per program of this project."""
