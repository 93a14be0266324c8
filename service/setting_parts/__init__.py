"""Groups of settings, and parsers of settings; `service.settings` joins the groups."""
