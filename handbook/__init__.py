"""Makes the documentation site: reference pages from code, links, diagrams and pictures."""
