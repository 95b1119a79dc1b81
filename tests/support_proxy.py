"""A TCP proxy before Redis that breaks what passes: resets, a swallowed reply to EXEC, an EXEC that comes late."""

import socket
import struct
import threading
import time
from contextlib import suppress

EXEC = b"*1\r\n$4\r\nEXEC\r\n"
_ECHO = b"*2\r\n$4\r\nECHO\r\n$14\r\nend-of-replies\r\n"
_ECHOED = b"$14\r\nend-of-replies\r\n"


class FaultProxy:
    """Forwards 127.0.0.1:`port` to the target's port. A fault is armed for one time, for whichever connection comes."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._left = {"requests": -1, "replies": -1}
        self._on_exec = ""
        self.held = threading.Event()
        """Set while an EXEC is held back."""
        self._release = threading.Event()
        self.faults = 0
        """How many faults have struck."""
        self._delay_s = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._release.set()
        self._listener.close()

    # -- faults ------------------------------------------------------------------------------------

    def reset_after(self, direction: str, passed_bytes: int) -> None:
        """Let so many bytes of "requests" or "replies" pass, then reset the connection."""
        with self._lock:
            self._left[direction] = passed_bytes

    def delay_replies(self, seconds: float) -> None:
        """Hand on whatever the server sends so much later."""
        self._delay_s = seconds

    def swallow_exec_reply(self) -> None:
        """Let the next EXEC be executed, then reset the connection before the client hears of it."""
        self._on_exec = "swallow"

    def drop_exec(self) -> None:
        """Reset the connection before the next EXEC reaches the server."""
        self._on_exec = "drop"

    def hold_exec(self) -> None:
        """Keep the next EXEC back until release(); what stands before it in the same request goes on."""
        self.held.clear()
        self._release.clear()
        self._on_exec = "hold"

    def release(self) -> None:
        """Let the EXEC go that was held back."""
        self._release.set()

    # -- forwarding --------------------------------------------------------------------------------

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                pair = _Pair(client, server)
                threading.Thread(target=self._requests, args=(pair,), daemon=True).start()
                threading.Thread(target=self._replies, args=(pair,), daemon=True).start()

    def _requests(self, pair: "_Pair") -> None:
        waiting = b""
        with suppress(OSError):
            while chunk := pair.client.recv(65_536):
                waiting = self._forward(pair, waiting + chunk)
        pair.close()

    def _forward(self, pair: "_Pair", data: bytes) -> bytes:
        """Send on what may go, and return what may be the beginning of an EXEC."""
        before, found, after = data.partition(EXEC)
        if not self._on_exec:
            self._send(pair, "requests", data)
            return b""
        if not found:
            kept = next(n for n in range(len(EXEC) - 1, -1, -1) if data.endswith(EXEC[:n]))
            self._send(pair, "requests", data[: len(data) - kept])
            return data[len(data) - kept :]
        fault, self._on_exec = self._on_exec, ""
        self._send(pair, "requests", before)
        self._strike_exec(pair, fault)
        self._send(pair, "requests", after)
        return b""

    def _strike_exec(self, pair: "_Pair", fault: str) -> None:
        self.faults += 1
        if fault == "hold":
            self.held.set()
            self._release.wait(30)
            pair.server.sendall(EXEC)
        elif fault == "drop":
            pair.reset()
        else:
            pair.muted = True
            pair.server.sendall(EXEC + _ECHO)
            pair.drained.wait(30)
            pair.reset()

    def _replies(self, pair: "_Pair") -> None:
        tail = b""
        with suppress(OSError):
            while chunk := pair.server.recv(65_536):
                if pair.muted:
                    tail = tail[-len(_ECHOED) :] + chunk
                    if _ECHOED in tail:
                        pair.drained.set()
                else:
                    time.sleep(self._delay_s)
                    self._send(pair, "replies", chunk)
        pair.drained.set()
        pair.close()

    def _send(self, pair: "_Pair", direction: str, data: bytes) -> None:
        to = pair.server if direction == "requests" else pair.client
        with self._lock:
            left = self._left[direction]
            struck = 0 <= left < len(data)
            self._left[direction] = -1 if struck or left < 0 else left - len(data)
        to.sendall(data[:left] if struck else data)
        if struck:
            self.faults += 1
            pair.reset()


class _Pair:
    """A client's connection and its own one to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.muted = False
        self.drained = threading.Event()

    def reset(self) -> None:
        """Reset the client's side; the server sees the end of the connection."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close both sides, and wake the thread that reads the other one."""
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RD)
        self.server.close()
        self.client.close()
