"""The client of the Investment API: the only code of the project that calls upstream."""
