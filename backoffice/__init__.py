"""The project: settings, the doors of the process, the client of the Investment API."""
