"""Prepares this repository for MkDocs: pages outside of `docs`, links and diagrams."""
