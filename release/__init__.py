"""Builds a release: packages, images, lists of components, documentation site and checksums."""
