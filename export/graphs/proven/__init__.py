"""The search that proves its answer: rough scores of all items, exact scores of candidates."""
