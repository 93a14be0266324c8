"""A real server process speaks the protocol over the tiny Llama; a scripted one misbehaves."""
