"""What the process itself costs: processor time and memory, from the system."""

import sys
import time
from typing import Any

_M_ARENA_MAX = -8
"""glibc's number for the greatest number of heaps."""


class Usage:
    """Processor use between two looks, and memory now."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def cores(self) -> float:
        """Processor cores kept busy since the last call."""
        wall, cpu = time.monotonic(), time.process_time()
        used = (cpu - self._cpu) / max(wall - self._wall, 1e-6)
        self._wall, self._cpu = wall, cpu
        return round(used, 2)


def memory_mb() -> float | None:
    """Resident memory in megabytes; None where the system does not tell cheaply."""
    if sys.platform.startswith("linux"):
        return _from_proc("VmRSS")
    if sys.platform == "win32":
        return _from_windows()[0]
    return peak_memory_mb()


def peak_memory_mb() -> float | None:
    """The most memory ever resident, in megabytes; None where the system does not tell."""
    if sys.platform.startswith("linux"):
        return _from_proc("VmHWM")
    if sys.platform == "win32":
        return _from_windows()[1]
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)


def give_memory_back() -> None:
    """Return freed memory to the system: after work that needed much for a moment, such as preparing an
    avatar. Only glibc keeps it otherwise, and only there this does anything."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_few_heaps() -> None:
    """Let all threads share two heaps: call before there are threads. Otherwise glibc gives nearly every
    thread a heap of its own, and each keeps what it once needed."""
    set_option = _glibc("mallopt")
    if set_option is not None:
        set_option(_M_ARENA_MAX, 2)


def _glibc(function: str) -> Any:
    """A function of the C library; None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), function, None)


def _from_proc(key: str) -> float | None:
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            line = next(line for line in status if line.startswith(key + ":"))
        return round(int(line.split()[1]) * 1024 / 1e6, 1)
    except (OSError, ValueError, IndexError, StopIteration):
        return None


if sys.platform == "win32":

    def _from_windows() -> tuple[float | None, float | None]:
        """Resident memory now and at most."""
        import ctypes
        from ctypes import wintypes

        class Counters(ctypes.Structure):
            _fields_ = (
                ("size", wintypes.DWORD),
                ("faults", wintypes.DWORD),
                ("peak", ctypes.c_size_t),
                ("now", ctypes.c_size_t),
                ("others", ctypes.c_size_t * 6),
            )

        counters = Counters()
        counters.size = ctypes.sizeof(counters)
        process = ctypes.windll.kernel32.GetCurrentProcess
        process.restype = wintypes.HANDLE
        ask = ctypes.windll.kernel32.K32GetProcessMemoryInfo
        ask.argtypes = (wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD)
        if not ask(process(), ctypes.byref(counters), counters.size):
            return None, None
        return round(counters.now / 1e6, 1), round(counters.peak / 1e6, 1)
