"""What became of the chosen tests, read from the lines that stestr prints while they run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from haneul.cli.tempest.selection import name

_LINE = re.compile(r"^\{\d+\} (?:(?P<stage>\w+) \((?P<place>\S+)\)|(?P<test>\S+))(?: \[(?P<seconds>[\d.]+)s\])?(?: .*)?"
                   r" \.\.\. (?P<word>ok|FAILED|SKIPPED)(?:: (?P<why>.*))?$")
_RAISED = re.compile(r"^    ([\w.]+(?:: .+)?)$")  # the last line of a traceback
OUTCOMES = {"ok": "passed", "FAILED": "failed", "SKIPPED": "skipped"}


class Outcome(Struct, omit_defaults=True):
    name: str
    outcome: str  # passed, failed, skipped
    seconds: float = 0.0
    why: str = ""


class Results:
    """Feed it the lines; `tell` hears each outcome once. What never reported has failed, once `close` is called."""

    def __init__(self, chosen: list[str], tell: Callable[[Outcome], None]) -> None:
        self.waiting = {name(test): None for test in chosen}  # in order
        self.outcomes: list[Outcome] = []
        self._tell = tell
        self._failing: Outcome | None = None

    def read(self, line: str) -> None:
        found = _LINE.match(line)
        if found is None:
            if line.startswith("Captured pythonlogging"):
                self._failing = None
            elif self._failing and (raised := _RAISED.match(line)) and not line.startswith("    Traceback"):
                self._failing.why = raised[1]
            return
        outcome, why = OUTCOMES[found["word"]], found["why"] or ""
        if found["test"]:
            self._add(Outcome(found["test"], outcome, float(found["seconds"] or 0), why))
        else:  # what a class has in common: its tests do not run when it fails before them
            inside = [test for test in self.waiting if test.startswith(found["place"] + ".")]
            if found["stage"] != "setUpClass" or not inside:
                self._add(Outcome(f"{found['stage']} ({found['place']})", outcome, 0.0, why))
            for test in inside if found["stage"] == "setUpClass" else []:
                self._add(Outcome(test, outcome, 0.0, why or f"setUpClass ({found['place']})"))
        self._failing = self.outcomes[-1] if outcome == "failed" else None

    def _add(self, outcome: Outcome) -> None:
        self.waiting.pop(outcome.name, None)
        self.outcomes.append(outcome)
        self._tell(outcome)

    def close(self) -> None:
        for test in list(self.waiting):
            self._add(Outcome(test, "failed", 0.0, "it did not run"))

    def count(self, outcome: str) -> int:
        return sum(each.outcome == outcome for each in self.outcomes)

    def reasons(self) -> list[tuple[str, int]]:
        """Why tests were skipped, and how many for each reason."""
        return Counter(each.why for each in self.outcomes if each.outcome == "skipped").most_common()
