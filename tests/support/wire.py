"""A wire between two network namespaces that delays, loses and cuts; for root on Linux.

Each end is a TUN device, and a thread carries packets from one to the other: a kernel has either
of them, where it may lack a queueing discipline that loses.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.support.proxies import program

NEAR: Final = "10.77.0.1"
FAR: Final = "10.77.0.2"

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_CLONE_NEWNET: Final = 0x40000000
_MTU: Final = 1500
_TCP: Final = 6


def why_not() -> str:
    """Return why there can be no wire here, or nothing."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if program("ip") is None:
        return "ip not installed"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    name = f"roles-{os.getpid()}-probe"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except subprocess.CalledProcessError:
        return "no network namespaces here"
    return ""


class Wire:
    """The wire that carries packets between the two ends.

    Attributes:
        delay: Seconds that a packet takes.
        loss: The share of packets that get lost.
        far: The name of the far end's namespace.
    """

    def __init__(self, near: int, far: int, name: str) -> None:
        self.delay = 0.0
        self.loss = 0.0
        self.far = name
        self._ends = {near: far, far: near}
        self._random = random.Random(0)  # noqa: S311 - the same losses in every run
        self._lock = threading.Lock()
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self._is_cut = False
        self._flows: set[frozenset[tuple[bytes, bytes]]] = set()
        self._forgotten: set[frozenset[tuple[bytes, bytes]]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="wire", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Lose everything from now on, and what is under way."""
        with self._lock:
            self._is_cut = True
            self._under_way.clear()

    def mend(self) -> None:
        """Undo `cut`."""
        with self._lock:
            self._is_cut = False

    def forget(self) -> None:
        """Lose every packet of the connections that there are, as a firewall that forgot them."""
        with self._lock:
            self._forgotten |= self._flows

    def end(self) -> None:
        """Carry nothing more."""
        self._ended.set()
        self._thread.join()

    def _carry(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                due = self._under_way[0][0] - time.monotonic() if self._under_way else 0.05
            ready, _, _ = select.select(list(self._ends), [], [], min(max(due, 0.0), 0.05))
            with self._lock:
                for end in ready:
                    self._take(end, os.read(end, _MTU))
                while self._under_way and self._under_way[0][0] <= time.monotonic():
                    _, _, end, packet = heapq.heappop(self._under_way)
                    os.write(end, packet)

    def _take(self, end: int, packet: bytes) -> None:
        flow = _flow(packet)
        if flow is not None:
            self._flows.add(flow)
        if self._is_cut or flow in self._forgotten or self._random.random() < self.loss:
            return
        self._number += 1
        due = time.monotonic() + self.delay
        heapq.heappush(self._under_way, (due, self._number, self._ends[end], packet))


def _flow(packet: bytes) -> frozenset[tuple[bytes, bytes]] | None:
    """Return the connection that a packet is of: both of its ends; None where it is no TCP."""
    if packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    start = (packet[0] & 15) * 4
    return frozenset(
        {
            (packet[12:16], packet[start : start + 2]),
            (packet[16:20], packet[start + 2 : start + 4]),
        }
    )


@contextmanager
def wire() -> Generator[Wire]:
    """Put this thread at the near end of a new wire, and bring it back."""
    with ExitStack() as stack:
        home = stack.enter_context(Path("/proc/thread-self/ns/net").open("rb"))
        ends: list[int] = []
        names = [f"roles-{os.getpid()}-{end}" for end in ("near", "far")]
        for number, (name, address) in enumerate(zip(names, (NEAR, FAR), strict=True)):
            device = f"roles{number}-{os.getpid() % 100_000}"
            ends.append(_tun(stack, device))
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("link", "set", device, "netns", name)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            _ip("-n", name, "link", "set", device, "up")
        line = Wire(ends[0], ends[1], names[1])
        stack.callback(line.end)
        near = stack.enter_context(Path(f"/run/netns/{names[0]}").open("rb"))
        _enter(near.fileno())
        stack.callback(lambda: _enter(home.fileno()))
        yield line


def _tun(stack: ExitStack, device: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    stack.callback(os.close, end)
    flags = struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(end, _TUNSETIFF, flags)
    return end


def _ip(*arguments: str) -> None:
    path = program("ip")
    assert path is not None
    subprocess.run([path, *arguments], check=True, capture_output=True)  # noqa: S603


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
