"""A client that checks certificate, inclusion and figures itself and refuses what does not hold."""
