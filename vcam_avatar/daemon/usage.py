"""What the process itself costs: processor time and memory, from the system."""

import sys
import time


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
        try:
            with open("/proc/self/statm") as statm:
                return round(int(statm.read().split()[1]) * 4096 / 1e6, 1)
        except (OSError, ValueError, IndexError):
            return None
    if sys.platform == "win32":
        return None
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)
