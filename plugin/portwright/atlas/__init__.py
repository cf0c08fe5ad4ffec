"""The atlas: tiny configs for every class of a library, one try each, and the page that says how far each comes."""
