import gc
import math
from functools import partial
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.turnstile import Admission, Slots, Turn, Turnstile
from tests.support.rate_limit import Limit, Simulation
from tests.support.shared_limit import share


def close(seconds: float) -> object:
    return pytest.approx(seconds)  # pyright: ignore[reportUnknownMemberType]


def refused_pace(*, seconds: float = 1.0, late: float = 0.0) -> Pace:
    """Return a pace that met a limit at 10 s, when one request was under way."""
    pace = Pace(lambda: late)
    pace.refuse(9.96, 10.0, seconds)
    return pace


def sends(pace: Pace, number: int) -> list[float]:
    """Send so many requests, each as soon as it may go, and return when they went."""
    moments: list[float] = []
    for _ in range(number):
        moments.append(pace.ready_at())
        pace.send(moments[-1])
    return moments


def send_until(pace: Pace, rate: float) -> float:
    """Send requests as soon as they may go until the rate is reached; return when the last went."""
    while True:
        now = pace.ready_at()
        pace.send(now)
        if pace.rate >= rate:
            return now


def refused_at(rate: float, *, seconds: float = 1.0, late: float = 0.0) -> Pace:
    """Return a pace whose first rate doubled up to this one, and was refused."""
    pace = refused_pace(seconds=seconds, late=late)
    now = send_until(pace, rate)
    pace.refuse(now, now + 0.04, seconds)
    return pace


class TestUnlimited:
    def test_ready(self) -> None:
        """Before the first refusal every request may go at once."""
        pace = Pace()

        pace.send(0.0)
        pace.grant(0.0)

        assert not pace.limited
        assert pace.ready_at() == -math.inf
        assert pace.rate == math.inf

    def test_forgotten(self) -> None:
        """A limit that was not met for more than ten minutes is gone."""
        pace = refused_pace(seconds=2.0)
        pace.send(12.0)
        pace.grant(12.0)

        pace.send(612.0)
        assert pace.limited

        pace.send(612.5)
        assert not pace.limited
        assert (pace.ready_at(), pace.rate) == (-math.inf, math.inf)


class TestHold:
    def test_until(self) -> None:
        """No request goes before the time that the service asked to wait."""
        assert refused_pace(seconds=3.0).ready_at() == close(13.0)

    def test_extended(self) -> None:
        """A later refusal that asks for more extends the hold, one that asks for less does not."""
        pace = refused_pace(seconds=3.0)

        pace.refuse(9.97, 10.01, 1.0)
        assert pace.ready_at() == close(13.0)

        pace.refuse(9.98, 10.02, 5.0)
        assert pace.ready_at() == close(15.02)

    def test_no_wait(self) -> None:
        """A refusal that asks for no wait holds back for a second."""
        assert refused_pace(seconds=0.0).ready_at() == close(11.0)

    def test_longest(self) -> None:
        """No single answer stops the client for longer than an hour."""
        assert refused_pace(seconds=math.inf).ready_at() == close(3610.0)

    def test_overtaken(self) -> None:
        """A refusal that took longer than the hold holds back again, and changes no rate."""
        pace = refused_pace()
        sends(pace, 20)
        now, rate = pace.ready_at(), pace.rate

        pace.refuse(9.98, now, 3.0)

        assert pace.ready_at() == close(now + 3.0)
        pace.send(now + 3.0)
        assert rate <= pace.rate < 2.0 * rate

    def test_wait(self) -> None:
        """A call that is held back should be made again when the hold is over."""
        pace = refused_pace(seconds=3.0)

        assert pace.wait(12.0) == close(1.0)
        assert pace.wait(14.0) == 0.0

    def test_spread(self) -> None:
        """From the second hold on, a client comes back up to half a gap late, at random.

        The first hold ends when the service says, and is the only one that most calls ever see.
        """
        assert refused_pace(late=1.0).ready_at() == close(11.0)

        early, late = refused_at(50.0), refused_at(50.0, late=1.0)
        assert late.ready_at() - early.ready_at() == close(0.5 / early.rate)


class TestFirstRate:
    def test_one_by_one(self) -> None:
        """After the first hold requests go one by one, a quarter of a second apart."""
        first, second, *_ = sends(refused_pace(), 3)

        assert first == close(11.0)
        assert second - first == close(0.25)

    def test_doubles(self) -> None:
        """Then their rate doubles three times a second."""
        pace = refused_pace()
        moments = sends(pace, 40)

        assert pace.rate == close(4.0 * 2.0 ** ((moments[-1] - moments[0]) / 0.3))

    def test_idle(self) -> None:
        """Time in which nobody waited raises no rate."""
        pace = refused_pace()
        sends(pace, 1)

        for second in range(12, 100):
            pace.send(second)

        assert pace.rate == 4.0 * 2.0 ** (0.25 / 0.3)

    def test_not_saved(self) -> None:
        """Nor does it save up requests, but for 20 ms: event loops wake up late."""
        pace = refused_pace()
        sends(pace, 1)

        pace.send(11.27)
        assert pace.ready_at() == close(11.25 + 1.0 / pace.rate)

        pace.send(60.0)
        assert pace.ready_at() == close(59.98 + 1.0 / pace.rate)


class TestGoal:
    """The rate that a refusal leaves, and how it grows."""

    def start(self, pace: Pace) -> float:
        """Return the rate after the hold over the one that was refused."""
        refused = pace.rate
        pace.send(pace.ready_at())
        return round(pace.rate / refused, 4)

    def test_first(self) -> None:
        """Of the first refused rate 0.4 is kept, as it had doubled; it begins 15 % below."""
        assert self.start(refused_at(50.0)) == 0.34

    def test_later(self) -> None:
        """Of each later one 0.9 is kept, however little was granted: others share the limit."""
        pace = refused_at(50.0)
        for _ in range(3):
            now = pace.ready_at()
            pace.send(now)
            pace.refuse(now, now + 0.04, 1.0)

            assert self.start(pace) == round(0.9 * 0.85, 4)

    @pytest.mark.parametrize(
        ("granted", "refused", "part"),
        [(0, 1, 0.8 / 3), (1, 0, 1.8 / 3), (5, 5, 5.8 / 12), (50, 10, 50.8 / 62)],
    )
    def test_share(self, granted: int, refused: int, part: float) -> None:
        """The part that was granted of the requests that were under way with it counts, too."""
        pace = refused_pace()
        now = send_until(pace, 100.0)
        pace.refuse(now, now + 0.04, 1.0)
        for _ in range(granted):
            pace.grant(now + 0.001)
        for _ in range(refused):
            pace.refuse(now + 0.001, now + 0.041, 1.0)

        assert self.start(pace) == round(0.85 * part, 4)

    def test_before(self) -> None:
        """What was sent before the first refused request and is granted later says nothing."""
        pace = refused_at(50.0)
        for _ in range(20):
            pace.grant(10.5)

        assert self.start(pace) == 0.34

    def test_growth(self) -> None:
        """The rate reaches its goal in four seconds, and is 15 % beyond it after eight."""
        pace = refused_at(50.0)
        goal = 0.4 * pace.rate
        begun = pace.ready_at()
        rates: dict[int, float] = {}
        while (now := pace.ready_at()) < begun + 12.5:
            pace.send(now)
            rates.setdefault(int(now - begun), round(pace.rate / goal, 2))

        assert [rates[second] for second in (0, 2, 4, 6, 8, 12)] == [
            *(0.85, 0.98, 1.0),
            *(1.02, 1.15, 2.2),
        ]

    @pytest.mark.parametrize("seconds", [1.0, 5.0])
    def test_slowest(self, seconds: float) -> None:
        """However often it is refused, at least one request goes for each `Retry-After`."""
        pace = refused_pace(seconds=seconds)
        for _ in range(50):
            now = sends(pace, 2)[-1]
            pace.refuse(now, now, seconds)
        first, second = sends(pace, 2)

        assert second - first == close(seconds / 0.85)


class TestRefusedSince:
    def test_first(self) -> None:
        """It is the first refusal since the last grant."""
        pace = Pace()
        assert pace.refused_since == math.inf

        pace.refuse(9.96, 10.0, 1.0)
        pace.refuse(11.0, 11.04, 1.0)
        assert pace.refused_since == 10.0

        pace.grant(12.1)
        assert pace.refused_since == math.inf


class TestRestart:
    def test_slots(self) -> None:
        """In another event loop nothing is under way, and what ends late frees no slot there."""
        slots = Slots(1)
        admission = Admission(slots)
        old = admission.turnstile
        old.enter()
        slots.restart()
        admission.restart()
        new = admission.turnstile

        assert new.enter()
        old.exit(0.0)
        assert not new.enter()

    def test_queue(self) -> None:
        """Nobody waits there any more, and nobody of the old one is woken or told anything."""
        slots = Slots(1)
        admission = Admission(slots)
        old, woken = admission.turnstile, list[int]()
        old.enter()
        turn = Turn(1, 2.0, math.inf)
        turn.wake = lambda: woken.append(1)
        old.join(turn)
        slots.restart()
        admission.restart()

        new, second = admission.turnstile, Turn(2, math.inf, math.inf)
        assert new.enter()
        new.exit(0.0)
        new.refuse(0.0, 0.5, 2.0)
        new.join(second)
        assert new.ask(second, 0.6) == close(1.9)
        assert woken == []
        assert not turn.is_late

    def test_pace(self) -> None:
        """The limit that was met is still known."""
        admission = Admission(Slots(1))
        admission.turnstile.enter()
        admission.turnstile.exit(0.0)
        admission.turnstile.refuse(0.0, 0.5, 2.0)
        admission.restart()

        assert admission.turnstile.pace is admission.pace
        assert not admission.turnstile.enter()


class TestTurnstile:
    def turnstile(self, slots: int = 1) -> tuple[Turnstile, list[int]]:
        return Turnstile(Slots(slots), Pace()), []

    def limited(self, seconds: float, *, slots: int = 1) -> tuple[Turnstile, list[int]]:
        """Return one whose first request was refused, half a second later, for so long."""
        turnstile, woken = self.turnstile(slots)
        turnstile.enter()
        turnstile.exit(0.0)
        turnstile.refuse(0.0, 0.5, seconds)
        return turnstile, woken

    def join(
        self,
        turnstile: Turnstile,
        number: int,
        woken: list[int],
        *,
        deadline: float = math.inf,
        patience: float = math.inf,
    ) -> Turn:
        turn = Turn(number, deadline, patience)
        turnstile.join(turn)
        turn.wake = lambda: woken.append(number)
        return turn

    def test_enter(self) -> None:
        """As many requests as there are slots go without waiting."""
        turnstile, _ = self.turnstile(2)

        assert turnstile.enter()
        assert turnstile.enter()
        assert not turnstile.enter()

        turnstile.exit(0.0)
        assert turnstile.enter()
        assert not turnstile.enter()

    def test_began_in_a_hold(self) -> None:
        """A call that begins in a hold beyond its deadline learns so, whoever waits before it."""
        turnstile, woken = self.limited(10.0)
        patient = self.join(turnstile, 1, woken)
        assert turnstile.ask(patient, 1.0) == close(9.5)

        hasty = self.join(turnstile, 2, woken, deadline=3.0)
        impatient = self.join(turnstile, 3, woken, patience=9.0)

        assert turnstile.ask(hasty, 1.0) == turnstile.ask(impatient, 1.0) == math.inf
        assert hasty.is_late
        assert impatient.is_late

    def test_what_for(self) -> None:
        """Calls wait for the pace if there is a limit, and for a slot if none is free."""
        turnstile, _ = self.turnstile(2)
        turnstile.enter()
        turnstile.exit(0.0)
        assert not turnstile.is_paced

        turnstile.enter()
        turnstile.enter()
        turnstile.refuse(0.0, 0.5, 2.0)
        assert not turnstile.is_paced

        turnstile.exit(0.0)
        assert turnstile.is_paced

    def test_patience(self) -> None:
        """Only what the service asks to wait counts, not the gap that the pace leaves."""
        turnstile, woken = self.limited(400.0)
        first = self.join(turnstile, 1, woken)
        turnstile.ask(first, 400.5)
        turnstile.exit(400.5)
        second = self.join(turnstile, 2, woken, patience=20.0)

        assert turnstile.ask(second, 400.6) == close(0.15)
        assert not second.is_late

    def test_limit_gone(self) -> None:
        """Once a limit is forgotten, a new call still does not go before one that waits."""
        turnstile, woken = self.limited(2.0, slots=3)
        for number in (1, 2, 3):
            turn = self.join(turnstile, number, woken)
            if number < 3:
                assert turnstile.ask(turn, 2.5 if number == 1 else 700.0) == 0.0

        assert not turnstile.pace.limited
        assert not turnstile.enter()

    def test_left_after_limit(self) -> None:
        """Once a limit is forgotten, a call that gave up holds back none of those after it."""
        turnstile, woken = self.limited(2.0, slots=3)
        turns = [self.join(turnstile, number, woken) for number in range(5)]
        assert turnstile.ask(turns[0], 2.5) == 0.0
        assert turnstile.ask(turns[1], 700.0) == 0.0
        turnstile.leave(turns[3])
        turnstile.exit(0.0)

        assert turnstile.ask(turns[4], 700.0) == 0.0
        assert turnstile.ask(turns[2], 700.0) == 0.0

    def test_order(self) -> None:
        """The call that began first goes first, whenever it joined."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        later = self.join(turnstile, 7, woken)
        sooner = self.join(turnstile, 3, woken)

        turnstile.exit(0.0)

        assert woken == [3]
        assert turnstile.ask(later, 0.0) == math.inf
        assert turnstile.ask(sooner, 0.0) == 0.0
        assert turnstile.ask(later, 0.0) == math.inf

    def test_no_overtaking(self) -> None:
        """A new call does not go before one that waits."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        self.join(turnstile, 1, woken)

        turnstile.exit(0.0)

        assert not turnstile.enter()

    def test_handed_over(self) -> None:
        """Each request that ends lets the next call go, so that many can go at one moment."""
        turnstile, woken = self.turnstile(2)
        turnstile.enter()
        turnstile.enter()
        first, second = (self.join(turnstile, number, woken) for number in (1, 2))

        turnstile.exit(0.0)
        turnstile.exit(0.0)

        assert woken == [1, 2]
        assert turnstile.ask(second, 0.0) == 0.0
        assert turnstile.ask(first, 0.0) == 0.0
        assert not turnstile.enter()

    def test_slot_taken_back(self) -> None:
        """A call that was let go waits again if a limit is met before its request has gone."""
        turnstile, woken = self.turnstile(2)
        turnstile.enter()
        turnstile.enter()
        first, second = (self.join(turnstile, number, woken) for number in (1, 2))
        turnstile.exit(0.0)

        turnstile.refuse(0.0, 0.5, 2.0)

        assert turnstile.ask(first, 0.5) == close(2.0)
        assert turnstile.ask(second, 0.5) == math.inf
        assert turnstile.ask(first, 2.5) == 0.0

    def test_next_woken(self) -> None:
        """Under a limit each request that goes has the next call ask."""
        turnstile, woken = self.limited(2.0, slots=2)
        first, second = (self.join(turnstile, number, woken) for number in (1, 2))

        assert turnstile.ask(first, 2.5) == 0.0

        assert woken == [2]
        assert 0.0 < turnstile.ask(second, 2.5) < math.inf

    def test_left(self) -> None:
        """A call that gives up lets the next one go."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        first, second = (self.join(turnstile, number, woken) for number in (1, 2))
        turnstile.exit(0.0)
        woken.clear()

        turnstile.leave(first)

        assert woken == [2]
        assert turnstile.ask(second, 0.0) == 0.0

    def test_left_between(self) -> None:
        """A call that gave up is passed over when its turn comes."""
        turnstile, woken = self.turnstile(2)
        turnstile.enter()
        turnstile.enter()
        first, second, third = (self.join(turnstile, number, woken) for number in (1, 2, 3))
        turnstile.leave(second)
        turnstile.exit(0.0)
        turnstile.exit(0.0)

        assert woken == [1, 3]
        assert turnstile.ask(first, 0.0) == turnstile.ask(third, 0.0) == 0.0

    def test_held(self) -> None:
        """Under a hold the first call in the queue is told how long it lasts, the others wait."""
        turnstile, woken = self.limited(2.0, slots=2)
        first, second = (self.join(turnstile, number, woken) for number in (1, 2))

        assert turnstile.ask(first, 1.0) == close(1.5)
        assert turnstile.ask(second, 1.0) == math.inf
        assert turnstile.ask(first, 2.5) == 0.0

    def test_grows(self) -> None:
        """A hold that grows is told to a call that waits for it, and nothing else is before."""
        turnstile, woken = self.turnstile(2)
        turnstile.enter()
        turnstile.enter()
        turnstile.exit(0.0)
        turnstile.refuse(0.0, 0.5, 2.0)
        first, second = (
            self.join(turnstile, number, woken, deadline=5.0 + number) for number in (1, 2)
        )
        assert turnstile.ask(first, 0.5) == 2.0
        assert turnstile.ask(second, 0.5) == math.inf

        turnstile.exit(0.1)
        assert woken == []
        turnstile.refuse(0.1, 1.0, 1.0)
        assert woken == []
        turnstile.refuse(0.1, 1.0, 5.0)
        assert woken == [1]
        assert turnstile.ask(first, 1.0) == math.inf
        assert first.is_late
        turnstile.leave(first)
        assert woken == [1, 2]

    def test_too_late(self) -> None:
        """A hold beyond their deadlines is told to every call that cannot be sent, at once."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        patient = self.join(turnstile, 1, woken)
        hasty = self.join(turnstile, 2, woken, deadline=2.0)
        turnstile.exit(0.0)
        assert woken == [1]
        turnstile.refuse(0.0, 0.5, 2.0)

        assert hasty.is_late
        assert woken == [1, 2]
        assert turnstile.ask(patient, 0.6) == close(1.9)

    def test_too_late_among_others(self) -> None:
        """Only calls whose time is up before the next request may go are told, to the moment."""
        turnstile, woken = self.limited(2.0)
        patient = self.join(turnstile, 0, woken)
        deadlines = enumerate([1.0, 2.5, 2.6, 9.0, 10.0], 1)
        turns = [self.join(turnstile, number, woken, deadline=each) for number, each in deadlines]
        turnstile.leave(turns[-1])

        turnstile.ask(patient, 0.6)

        assert [turn.is_late for turn in turns] == [True, True, False, False, False]

    def test_late_with_slot(self) -> None:
        """A call whose time is up when its turn comes hands it on."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        first = self.join(turnstile, 1, woken, deadline=2.0)
        second = self.join(turnstile, 2, woken, deadline=2.1)
        turnstile.exit(0.0)

        assert turnstile.ask(first, 2.0) == math.inf
        assert first.is_late
        assert woken == [1, 2]
        turnstile.leave(first)
        assert turnstile.ask(second, 2.0) == 0.0
        assert not turnstile.enter()

    @pytest.mark.parametrize(
        ("deadline", "patience", "is_late"),
        [
            (2.5, math.inf, True),
            (2.6, math.inf, False),
            (math.inf, 2.0, False),
            (math.inf, 1.9, True),
        ],
    )
    def test_exact(self, *, deadline: float, patience: float, is_late: bool) -> None:
        """A request may go before its deadline, and after as long a hold as it has patience for."""
        turnstile, woken = self.limited(2.0)
        turn = self.join(turnstile, 1, woken, deadline=deadline, patience=patience)

        turnstile.ask(turn, 0.5)

        assert turn.is_late is is_late

    def test_exact_among_many(self) -> None:
        """The first in the queue is told that it is too late before all others are."""
        turnstile, woken = self.limited(2.0)
        first = self.join(turnstile, 0, woken, deadline=2.5)
        for number in range(1, 66):
            self.join(turnstile, number, woken, deadline=1.0)

        assert turnstile.ask(first, 0.6) == math.inf
        assert first.is_late
        assert woken == list(range(1, 65))

    def test_too_long(self) -> None:
        """A call that is not to wait so long for a hold is told at once."""
        turnstile, woken = self.limited(60.0)
        turn = self.join(turnstile, 1, woken, patience=20.0)

        assert turnstile.ask(turn, 0.6) == math.inf
        assert turn.is_late

    def test_impatient(self) -> None:
        """Whoever is not to wait so long for a hold is told, too, if a patient call is first."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        self.join(turnstile, 1, woken)
        less, least = (
            self.join(turnstile, number, woken, patience=patience)
            for number, patience in ((2, 2.0), (3, 1.9))
        )
        turnstile.exit(0.0)
        assert woken == [1]

        turnstile.refuse(0.0, 0.5, 2.0)
        assert woken == [1, 3]
        assert least.is_late
        turnstile.refuse(0.0, 1.0, 2.0)
        assert woken == [1, 3]
        turnstile.refuse(0.0, 1.0, 2.1)
        assert woken == [1, 3, 2]
        assert less.is_late

    def test_some_left(self) -> None:
        """Calls that have left are not told, and others are in their place."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        turns = [self.join(turnstile, number, woken, deadline=1.0) for number in range(100)]
        turnstile.exit(0.0)
        for turn in turns[:90]:
            turn.left = True
        woken.clear()

        turnstile.refuse(0.0, 0.5, 2.0)
        assert sorted(woken) == [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]

    def test_rest(self) -> None:
        """A call that waits between attempts is told, too, as long as it does."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        for number, has_left in ((1, False), (2, True)):
            turn = Turn(number, 2.0, math.inf)
            turn.wake = partial(woken.append, number)
            turnstile.rest(turn)
            turn.left = has_left
        turnstile.exit(0.0)

        turnstile.refuse(0.0, 0.5, 1.0)
        assert woken == []
        turnstile.refuse(0.0, 0.6, 2.0)
        assert woken == [1]

    def test_rest_too_long(self) -> None:
        """A call whose time is up before a hold ends need not wait for its next attempt."""
        turnstile, _ = self.limited(10.0)
        late, early = Turn(1, 10.5, math.inf), Turn(2, 10.6, math.inf)
        turnstile.rest(late)
        turnstile.rest(early)
        assert (late.is_late, early.is_late) == (True, False)

    def test_told_while_all_slots_are_taken(self) -> None:
        """A call is told at the send that leaves too little time for it, and not at an answer."""
        turnstile, woken = self.limited(1.0)
        first = self.join(turnstile, 1, woken)
        self.join(turnstile, 2, woken, deadline=1.6)
        assert turnstile.ask(first, 1.5) == 0.0
        assert woken == [2]

    def test_no_slot_for_late(self) -> None:
        """A call that was told that it is too late gets no slot, even if the limit is gone."""
        turnstile, woken = self.limited(1.0)
        first = self.join(turnstile, 1, woken)
        self.join(turnstile, 2, woken, deadline=1.6)
        self.join(turnstile, 3, woken)
        turnstile.ask(first, 1.5)
        turnstile.pace.send(700.0)
        turnstile.exit(None)
        assert woken == [2, 3]

    def test_after_a_limit(self) -> None:
        """When a limit is forgotten, all slots are used again, also if one is handed over."""
        turnstile, woken = self.turnstile(5)
        turnstile.enter()
        turnstile.exit(0.0)
        turnstile.refuse(0.0, 0.0, 1.0)
        turns = [self.join(turnstile, number, woken) for number in range(8)]
        assert turnstile.ask(turns[0], 1.0) == 0.0
        assert turnstile.ask(turns[1], 700.0) == 0.0
        assert (turnstile.pace.limited, woken[-1]) == (False, 2)

        turnstile.exit(1.0)  # before the one that was woken asks
        assert turnstile.ask(turns[2], 700.0) == 0.0
        assert woken[-2:] == [3, 4]

    def test_told_after_those_that_rest(self) -> None:
        """However many wait between attempts, those that wait for the hold are told, too."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        turnstile.exit(0.0)
        turns = [Turn(number, 2.0, math.inf) for number in range(200)]
        for turn in turns:
            turn.wake = partial(woken.append, turn.number)
            turnstile.rest(turn)
        turnstile.refuse(0.0, 0.5, 1.0)
        turns += [self.join(turnstile, number, woken, patience=5.0) for number in range(200, 230)]

        turnstile.refuse(0.0, 0.6, 100.0)
        for number in woken:
            turnstile.leave(turns[number])
        assert {*woken} == {*range(230)}

    def test_few_are_kept(self) -> None:
        """Of those that have left, no more are kept than of those that wait, or a few."""
        turnstile, woken = self.limited(1.0)
        # The first one waits longest and gives up last, so nobody behind it drops off the top.
        self.join(turnstile, 0, woken, deadline=50.0, patience=50.0)
        for number in range(1, 5000):
            turn = self.join(turnstile, number, woken, deadline=99.0, patience=99.0)
            turnstile.leave(turn)

        gc.collect()
        assert sum(isinstance(each, Turn) for each in gc.get_objects()) <= 200

    def test_in_batches(self) -> None:
        """Ten thousand that are too late are told a few at a time, each after one has left."""
        turnstile, woken = self.limited(2.0)
        turns = [self.join(turnstile, number, woken, deadline=1.0) for number in range(10_000)]

        turnstile.ask(turns[0], 0.6)
        assert len(woken) == 64

        turnstile.leave(turns[0])
        assert sum(turn.is_late for turn in turns) == 65

        turnstile.leave(turns[1])
        assert sum(turn.is_late for turn in turns) == 66

        for number in woken:
            turnstile.leave(turns[number])
        assert all(turn.is_late for turn in turns)
        assert sorted(set(woken)) == list(range(1, 10_000))

    def test_expired(self) -> None:
        """Ten thousand that leave at once wake nobody, and leave nothing behind."""
        turnstile, woken = self.turnstile()
        turnstile.enter()
        turns = [self.join(turnstile, number, woken, deadline=1.0) for number in range(10_000)]

        for turn in reversed(turns):
            turnstile.leave(turn)
        turnstile.exit(0.0)

        assert woken == []
        assert turnstile.enter()


@pytest.mark.parametrize(
    ("calls", "limit", "refused", "seconds"),
    [
        (1000, Limit(20.0, 5), 0.03, 1.25),
        (1000, Limit(100.0, 20), 0.03, 1.6),
        (300, Limit(100.0, 20), 0.08, 2.2),
        (1000, Limit(7.0, 1), 0.05, 1.45),
        (1000, Limit(50.0, 50, retry_after=2, halfway=0.5), 0.06, 1.25),
        (1000, Limit(20.0, 5, halfway=2.0), 0.03, 1.4),
        (600, Limit(50.0, 10, halfway=0.1), 0.2, 1.2),
        (60, Limit(0.5, 1), 1.0, 1.3),
    ],
    ids=["20/5", "100/20", "300 at 100/20", "7/1", "halving", "doubling", "falling", "slow"],
)
class TestBulkJob:
    """Many calls at once, without a timeout, in simulated time."""

    @pytest.mark.parametrize("jitter", [0.0, 0.05, 0.1])
    def test_holds(
        self, calls: int, limit: Limit, refused: float, seconds: float, jitter: float
    ) -> None:
        """Every call succeeds, with few refusals, in little more than the ideal time."""
        outcome = Simulation(limit, jitter=jitter).run(calls)

        assert sorted(outcome.completed) == list(range(calls))
        assert outcome.refused <= refused
        assert outcome.seconds <= seconds

    def test_order(self, calls: int, limit: Limit, refused: float, seconds: float) -> None:
        """A call that was refused keeps its place: its next request goes among the next few."""
        del refused, seconds
        sent = Simulation(limit).run(calls).sent

        highest = 0
        for number in sent:
            assert number > highest - 80
            highest = max(highest, number)


SEEDS: Final = range(5)


class TestSeveral:
    """Several clients at one limit, in simulated time."""

    @pytest.mark.parametrize(
        ("clients", "calls", "limit", "seconds", "last"),
        [
            (2, 500, Limit(20.0, 5), 1.4, 1.8),
            (4, 100, Limit(20.0, 5), 1.6, 2.5),
            (4, 250, Limit(20.0, 5), 1.4, 2.0),
            (8, 100, Limit(50.0, 20), 1.6, 3.3),
            (8, 200, Limit(50.0, 20), 1.4, 2.8),
            (16, 100, Limit(100.0, 20), 1.8, 4.5),
        ],
    )
    def test_holds(
        self, clients: int, calls: int, limit: Limit, seconds: float, last: float
    ) -> None:
        """They use the limit together, and the last is not done long after the first."""
        outcomes = [share(limit, clients, calls, seed=seed) for seed in SEEDS]

        assert sorted(outcome.seconds for outcome in outcomes)[2] <= seconds
        assert max(outcome.seconds for outcome in outcomes) <= 2.2
        assert sorted(outcome.last_to_first for outcome in outcomes)[2] <= last

    def test_burst_of_one(self) -> None:
        """Where requests collide by chance, each at the cost of a second, no client starves."""
        outcomes = [share(Limit(14.0, 1), 2, 150, seed=seed) for seed in SEEDS]

        assert max(outcome.seconds for outcome in outcomes) < 6.0
        assert max(outcome.last_to_first for outcome in outcomes) < 3.0

    def test_nothing_granted(self) -> None:
        """Eight clients at a limit of one request in five seconds still all get some."""
        outcome = share(Limit(0.2, 1), 8, 3)

        assert outcome.seconds < 1.5


class TestFastLimit:
    @pytest.mark.parametrize("burst", [60, 300])
    def test_holds(self, burst: int) -> None:
        """At 300 a second, a job of three seconds, no call fails and few are refused."""
        outcome = Simulation(Limit(300.0, burst), jitter=0.02).run(1000)

        assert len(outcome.completed) == 1000
        assert outcome.refused <= 0.1


class TestDeadline:
    def test_certain(self) -> None:
        """Calls whose time ends in a hold fail when it begins, only the one that met it sent."""
        simulation = Simulation(Limit(0.1, 1), slots=1)

        outcome = simulation.run(100, timeout=9.0, patience=math.inf)

        assert outcome.completed == [0]
        assert sorted(outcome.late) == list(range(1, 100))
        assert outcome.attempts == [1, 1, *[0] * 98]
        assert simulation.now < 0.1

    def test_served(self) -> None:
        """What the limit grants in the time of a call is used."""
        outcome = Simulation(Limit(20.0, 5)).run(1000, timeout=30.0)

        assert len(outcome.completed) > 450
        assert len(outcome.completed) + len(outcome.late) == 1000


@settings(max_examples=40)
@given(
    rate=st.floats(1.0, 300.0),
    burst=st.integers(1, 300),
    retry_after=st.none() | st.integers(1, 3),
    halfway=st.sampled_from([1.0, 0.5, 2.0]),
    jitter=st.sampled_from([0.0, 0.1, 0.3]),
    late=st.sampled_from([0.0, 0.02]),
    latency=st.floats(0.001, 0.3),
    seed=st.integers(0, 9),
)
def test_any_limit(
    *,
    rate: float,
    burst: int,
    retry_after: int | None,
    halfway: float,
    jitter: float,
    late: float,
    latency: float,
    seed: int,
) -> None:
    """Whatever the limit, and however late an answer, every call ends, and few are refused."""
    limit = Limit(rate, burst, retry_after, halfway)
    simulation = Simulation(limit, jitter=jitter, late=late, latency=latency, seed=seed)

    outcome = simulation.run(400)

    assert sorted(outcome.completed) == list(range(400))
    assert outcome.refused <= (0.4 if late else 0.3)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "grant", "refuse"]), st.floats(0.0, 9.0), st.floats(0.0, 30.0)
        ),
        max_size=60,
    )
)
def test_any_history(steps: list[tuple[str, float, float]]) -> None:
    """Whatever happens, there is a rate, and nobody waits long but for a hold (here 30 s)."""
    pace, now = Pace(), 0.0
    for what, seconds, age in steps:
        now += seconds
        if what == "send":
            now = max(now, pace.ready_at())
            pace.send(now)
        elif what == "grant":
            pace.grant(now - age)
        else:
            pace.refuse(now - age, now, age)
        if pace.limited:
            assert pace.rate > 0.0
            assert pace.ready_at() - max(now, pace.held_until) < 36.0
