"""What the checks by other programs share: comparing, and an API on loopback."""

import contextlib
import http.server
import json
import sys
import threading

comparisons = 0


def expect(what, found, expected):
    """Ends the check where something is found that was not expected."""
    global comparisons
    comparisons += 1
    if found == expected:
        return
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        found, expected = next(pair for pair in zip(found, expected) if pair[0] != pair[1])
    sys.exit(f"{what}: found {str(found)[:2000]}, expected {str(expected)[:2000]}")


@contextlib.contextmanager
def serve(answer):
    """Serves what `answer` gives for a path as JSON; the address of the server."""

    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(answer(self.path.split("?")[0])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
