#!/usr/bin/env python3
"""Stands between the planner and the API server, counts writes, and kills the planner at one of them.

writes.py PORT SERVER FOLDER: serves plain HTTP on 127.0.0.1. In FOLDER, `order` says {"after": N, "pid": P}: when the answer
to the Nth write since then has come, the process is killed before it hears of it. `writes` lists the writes, one a line.
Writes that are no part of a move do not count: leases, events, tokens, status.
"""

import asyncio
import json
import os
import signal
import ssl
import sys

WRITES = {"POST", "PUT", "PATCH", "DELETE"}


def counts(method, path):
    path = path.split("?")[0]
    apart = ("/leases", "/events", "/token", "/status", "/tokenreviews", "/subjectaccessreviews")
    return method in WRITES and not any(part in path for part in apart)


class Between:
    def __init__(self, server, folder):
        host, _, port = server.removeprefix("https://").partition(":")
        self.host, self.port, self.folder = host, int(port), folder
        self.order_of, self.seen = None, 0
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def order(self):
        try:
            path = os.path.join(self.folder, "order")
            stamp = os.stat(path).st_mtime_ns
            with open(path) as text:
                order = json.load(text)
        except (OSError, ValueError):
            return None
        if stamp != self.order_of:
            self.order_of, self.seen = stamp, 0
        return order

    async def serve(self, reader, writer):
        """One request on each connection, so that nothing has to be understood but its head."""
        out = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            fields = [line for line in lines[1:] if line and not line.lower().startswith("connection:")]
            length = next((int(f.split(":")[1]) for f in fields if f.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            back, out = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
            out.write("\r\n".join([lines[0], *fields, "Connection: close", "", ""]).encode("latin-1") + body)
            await out.drain()
            first = await back.read(65536)
            if counts(method, path):
                self.written(method, path, first)
            while first:
                writer.write(first)
                await writer.drain()
                first = await back.read(65536)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, OSError):
            pass
        finally:
            for end in (writer, out):
                if end:
                    end.close()

    def written(self, method, path, answer):
        order = self.order()
        self.seen += 1
        status = answer.split(b" ", 2)[1].decode() if answer.startswith(b"HTTP/") else "?"
        with open(os.path.join(self.folder, "writes"), "a") as log:
            log.write(json.dumps({"number": self.seen, "method": method, "path": path.split("?")[0], "status": status}) + "\n")
        if order and order.get("after") == self.seen:
            os.kill(order["pid"], signal.SIGKILL)


async def main(port, server, folder):
    between = Between(server, folder)
    async with await asyncio.start_server(between.serve, "127.0.0.1", port, limit=1 << 20) as served:
        await served.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
