"""Remembers the sync offsets that OBS had before us, so that they come back even after a crash."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OffsetEntry:
    """One input's offset before us, and the one we set."""

    before: int
    ours: int


class OffsetMemory:
    """The offsets that OBS had before us, per scene collection and input, on disk."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.entries: dict[str, dict[str, OffsetEntry]] = {}
        try:
            raw = json.loads(file.read_text(encoding="utf-8")) if file is not None else {}
            self.entries = {
                collection: {name: OffsetEntry(**entry) for name, entry in inputs.items()}
                for collection, inputs in raw.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # none yet, or unreadable: there is nothing to give back

    def entry(self, collection: str, name: str) -> OffsetEntry | None:
        """What is remembered of one input."""
        return self.entries.get(collection, {}).get(name)

    def remember(self, collection: str, name: str, before: int, ours: int) -> None:
        """Keep ``before``, unless it is what we set ourselves."""
        known = self.entry(collection, name)
        original = known.before if known is not None and known.ours == before else before
        self.entries.setdefault(collection, {})[name] = OffsetEntry(original, ours)
        self._save()

    def forget(self, collection: str, name: str) -> None:
        """The input is the user's again."""
        inputs = self.entries.get(collection, {})
        if inputs.pop(name, None) is not None:
            if not inputs:
                self.entries.pop(collection, None)
            self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        content = {
            collection: {name: {"before": e.before, "ours": e.ours} for name, e in inputs.items()}
            for collection, inputs in self.entries.items()
        }
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(".new")
            draft.write_text(json.dumps(content), encoding="utf-8")
            draft.replace(self._file)
        except OSError as exc:
            log.warning("obs: cannot remember the sync offsets: %s", exc)
