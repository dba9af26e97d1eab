# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 with kept connections, as little of it as a fast server needs, and
every way of answering badly that a client has to survive. One thread for each
connection; the handler is called with a Request and returns an Answer."""
import email.utils
import functools
import os
import select
import socket
import ssl
import struct
import threading
import time

HEAD_MAX = 65536
BODY_MAX = 80 << 20
REASONS = {200: "OK", 204: "No Content", 206: "Partial Content",
           301: "Moved Permanently", 400: "Bad Request", 401: "Unauthorized",
           402: "Payment Required", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 409: "Conflict",
           412: "Precondition Failed", 413: "Payload Too Large",
           416: "Range Not Satisfiable",
           429: "Too Many Requests", 500: "Internal Server Error",
           502: "Bad Gateway", 503: "Service Unavailable"}


class Closed(Exception):
    """The other side has gone, or is to go."""


class BadRequest(Exception):
    pass


class Request:
    __slots__ = ("method", "target", "path", "query", "headers", "body",
                 "peer", "keep")

    def header(self, name):
        """The value of a header that may be there once, or None."""
        name = name.lower()
        for n, v in self.headers:
            if n.lower() == name:
                return v
        return None


class Block:
    """A body that lies in a file."""
    __slots__ = ("fd", "offset", "length")

    def __init__(self, fd, offset, length):
        self.fd, self.offset, self.length = fd, offset, length

    def __len__(self):
        return self.length

    def bytes(self):
        return os.pread(self.fd, self.length, self.offset)


class Answer:
    """fault: None or (kind, {…}); done(sent whole or not) is called last."""
    __slots__ = ("status", "headers", "body", "fault", "done", "clock")

    def __init__(self, status, headers=(), body=b""):
        self.status, self.headers, self.body = status, list(headers), body
        self.fault = self.done = None
        self.clock = 0


@functools.lru_cache(maxsize=64)
def _date(second):
    return email.utils.formatdate(second, usegmt=True)


def parse_head(head):
    lines = head.split(b"\r\n")
    try:
        method, target, version = lines[0].split(b" ")
    except ValueError:
        raise BadRequest("request line") from None
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise BadRequest("version")
    r = Request()
    r.method = method.decode("latin-1")
    r.target = target
    r.path, _, r.query = target.partition(b"?")
    r.headers = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t"):
            raise BadRequest("folded header")
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadRequest("header")
        r.headers.append((name.decode("latin-1"),
                          value.strip().decode("latin-1")))
    one = {n.lower(): v for n, v in r.headers}
    if "host" not in one:
        raise BadRequest("no Host")
    connection = one.get("connection", "").lower()
    r.keep = connection != "close" and (version == b"HTTP/1.1"
                                        or connection == "keep-alive")
    return r, one


class Connection:
    def __init__(self, sock, peer, server):
        self.sock, self.peer, self.server = sock, peer, server
        self.buffer = b""
        self.tls = isinstance(sock, ssl.SSLSocket)

    def more(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            raise Closed from None
        if not data:
            raise Closed
        self.buffer += data

    def request(self):
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise BadRequest("headers too long")
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        r, one = parse_head(head)
        r.peer = self.peer
        if "transfer-encoding" in one:
            raise BadRequest("Transfer-Encoding")
        try:
            length = int(one.get("content-length", "0"))
        except ValueError:
            raise BadRequest("Content-Length") from None
        if not 0 <= length <= BODY_MAX:
            raise BadRequest("Content-Length")
        if one.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        r.body = self.body(length)
        return r

    def body(self, length):
        if len(self.buffer) >= length:
            body, self.buffer = self.buffer[:length], self.buffer[length:]
            return body
        # large ones (parts of an upload) in one piece of memory
        whole = bytearray(length)
        at = len(self.buffer)
        whole[:at], self.buffer = self.buffer, b""
        view = memoryview(whole)
        while at < length:
            try:
                n = self.sock.recv_into(view[at:])
            except OSError:
                raise Closed from None
            if not n:
                raise Closed
            at += n
        return bytes(whole)

    # ---- answering ----

    def reset(self):
        """What the peer sees is ECONNRESET."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        raise Closed

    def idle(self, seconds):
        """Nothing, until the other side has had enough."""
        end = time.monotonic() + seconds
        while not self.server.stopping.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return
            ready, _, _ = select.select([self.sock], [], [], min(left, 0.5))
            if ready:
                try:
                    if not self.sock.recv(4096):
                        raise Closed
                except OSError:
                    raise Closed from None

    def send_body(self, head, body):
        if isinstance(body, Block):
            if self.tls:
                self.sock.sendall(head)
                self.sock.sendall(body.bytes())
                return
            self.sock.sendall(head, socket.MSG_MORE)
            at, left = body.offset, body.length
            while left:
                n = os.sendfile(self.sock.fileno(), body.fd, at, left)
                if n == 0:
                    raise Closed
                at += n
                left -= n
        else:
            self.sock.sendall(head + body)

    def send(self, answer, keep):
        kind, how = answer.fault or (None, None)
        if kind == "silent":
            self.idle(how.get("seconds", 3600))
            raise Closed
        if kind == "reset" and not how.get("after"):
            self.reset()
        body = answer.body
        length = len(body)
        if kind in ("checksum", "nochecksum"):
            kind = None         # the headers are what is wrong
        if kind is not None:
            body = body.bytes() if isinstance(body, Block) else body
        if kind == "corrupt":
            body = corrupt(body, how.get("n", 0))
        elif kind == "short":
            body = body[:max(0, length - how.get("bytes", 4096))]
            length = len(body)
        head = [f"HTTP/1.1 {answer.status} "
                f"{REASONS.get(answer.status, 'Whatever')}",
                f"Date: {_date(int(time.time() + answer.clock))}",
                f"Content-Length: {length}"]
        head += [f"{n}: {v}" for n, v in answer.headers]
        head.append("Connection: keep-alive" if keep else "Connection: close")
        head = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        if kind in (None, "corrupt", "short"):
            self.send_body(head, body)
            return
        half = body[:how.get("after", length // 2)]
        if kind == "slow":
            self.sock.sendall(head)
            step = max(1, how.get("rate", 65536) // 10)
            for at in range(0, length, step):
                self.sock.sendall(body[at:at + step])
                # behind the last one the next request may come
                if at + step < length:
                    self.idle(0.1)
            return
        self.sock.sendall(head + half)
        if kind == "stall":
            self.idle(how.get("seconds", 3600))
        elif kind == "reset":
            time.sleep(0.01)    # so that what was sent gets there first
            self.reset()
        raise Closed            # truncate


def corrupt(body, n):
    """One bit of it wrong; in a text, so that no parser can miss it."""
    if not body:
        return body
    if body[:1] in (b"{", b"<"):
        return b"\x00" + body[1:]
    at = (n * 2654435761 + 12345) % len(body)
    return body[:at] + bytes([body[at] ^ (1 << n % 8)]) + body[at + 1:]


class Server:
    """Listens on one port. It can be made dead, and come back there."""

    def __init__(self, host, port, handler, tls=None):
        self.handler, self.tls, self.host = handler, tls, host
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.live = set()
        self.opened = 0
        self.deaf = False
        self.listener = None
        self.port = port
        self.open()

    def open(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.host, self.port))
        s.listen(512)
        self.port = s.getsockname()[1]
        self.listener = s
        self.stopping.clear()
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def close(self):
        """Connections are refused from now on, and those there are reset."""
        if self.listener is None:
            return
        self.stopping.set()
        try:
            # wakes accept(2), which would hold the port otherwise
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.listener = None
        with self.lock:
            live = list(self.live)
        for sock in live:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock, peer),
                             daemon=True).start()

    def _serve(self, sock, peer):
        with self.lock:
            self.live.add(sock)
            self.opened += 1
        try:
            if self.tls:
                raw, sock = sock, self.tls.wrap_socket(sock, server_side=True)
                with self.lock:
                    self.live.discard(raw)
                    self.live.add(sock)
            self._requests(Connection(sock, peer, self))
        except (Closed, OSError):
            pass
        finally:
            with self.lock:
                self.live.discard(sock)
            sock.close()

    def _requests(self, c):
        while not self.stopping.is_set():
            try:
                r = c.request()
            except BadRequest as e:
                c.send(Answer(400, [("Content-Type", "text/plain")],
                              f"bad request: {e}\n".encode()), False)
                return
            if self.deaf:
                c.idle(3600)
                return
            answer = self.handler(r)
            whole = False
            try:
                c.send(answer, r.keep)
                whole = True
            finally:
                if answer.done:
                    answer.done(whole)
            if not r.keep:
                return
