"""Exits with 0 if this container answers `GET PATH` with 200: `healthcheck.py PORT PATH`."""

import http.client
import sys

if __name__ == "__main__":
    port, path = int(sys.argv[1]), sys.argv[2]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", path)
        sys.exit(connection.getresponse().status != http.client.OK)
    except OSError as error:
        sys.exit(f"no answer on port {port}: {error}")
