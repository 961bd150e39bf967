"""A small HTTP service: says hello, and which version says it."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_known = self.path in ("/", "/healthz")
        body = f"hello from version {VERSION}\n".encode() if is_known else b"not here\n"
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


VERSION = sys.argv[1]
if VERSION == "broken":
    sys.exit("this version has a defect and does not start")
ThreadingHTTPServer(("127.0.0.1", int(os.environ["TITAN_PORT"])), Hello).serve_forever()
