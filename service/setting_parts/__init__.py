"""Groups of settings, and settings whose text has a form of its own; `service.settings` has all."""
