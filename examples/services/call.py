"""A job that depends on the service: it starts when the service is healthy and knows where it is."""

import os
import urllib.request

address = os.environ["TITAN_SERVICE_HELLO"]
with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
    print(f"{address} says: {answer.read().decode().strip()}")
