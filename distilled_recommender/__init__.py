"""The console command `distilled-recommender`: one sub-command for each program of this project."""
