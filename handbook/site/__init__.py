"""What MkDocs needs of this repository: pages outside of `docs`, links and diagrams."""
