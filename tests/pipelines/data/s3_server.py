"""A small S3: enough of the protocol (HEAD, ranged GET, ListObjectsV2, path style) for a real client to read from."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def serve_s3(objects: Mapping[str, bytes]) -> Iterator[str]:
    """Serve objects (``bucket/key`` -> bytes) and yield the endpoint's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            name = unquote(parts.path).strip("/")
            query = parse_qs(parts.query, keep_blank_values=True)
            if "list-type" in query:
                self._list(name, query)
            elif name in objects:
                self._object(objects[name])
            elif any(key.startswith(name + "/") for key in objects) and "/" not in name:
                self._send(200, b"")
            else:
                self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def _object(self, data: bytes) -> None:
            wanted = self.headers.get("Range")
            if wanted is None:
                return self._send(200, data)
            first, last = wanted.removeprefix("bytes=").split("-")
            part = data[int(first) : int(last) + 1]
            span = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            return self._send(206, part, {"Content-Range": span})

        def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
            prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
            keys = sorted(k.removeprefix(bucket + "/") for k in objects if k.startswith(bucket + "/"))
            contents, folders = [], set()
            for key in keys:
                if not key.startswith(prefix):
                    continue
                rest = key[len(prefix) :]
                if delimiter and delimiter in rest:
                    folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                else:
                    contents.append(key)
            body = "".join(
                f"<Contents><Key>{escape(k)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>x</ETag><Size>{len(objects[f'{bucket}/{k}'])}</Size></Contents>"
                for k in contents
            ) + "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders))
            count = len(contents) + len(folders)
            text = (
                f'<?xml version="1.0"?><ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>'
                f"<KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{body}"
                "</ListBucketResult>"
            )
            self._send(200, text.encode(), {"Content-Type": "application/xml"})

        def _send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("ETag", '"x"')
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
