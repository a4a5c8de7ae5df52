import gc
import math
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arize_roles_async._calls.pace import Pace
from arize_roles_async._calls.turnstile import Admission, Slots, Turn, Turnstile
from tests.support.rate_limit import Limit, Simulation


def close(seconds: float) -> object:
    return pytest.approx(seconds)  # pyright: ignore[reportUnknownMemberType]


def refused_pace(*, seconds: float = 1.0) -> Pace:
    """Return a pace that met a limit at 10 s, when one request was under way."""
    pace = Pace()
    pace.refuse(10.0, 10.04, seconds, granted=0, span=math.inf)
    return pace


def sends(pace: Pace, number: int) -> list[float]:
    """Send so many requests, each as soon as it may go, and return when they went."""
    moments: list[float] = []
    for _ in range(number):
        moments.append(pace.ready_at())
        pace.send(moments[-1])
    return moments


def learned_rate(pace: Pace, now: float) -> float:
    """Return what a pace learns of 100 a second and a burst of 60, in a second from `now` on."""
    pace.send(now)
    for index in range(160):
        pace.grant(now + 0.01 + max(0, index - 59) / 100.0)
    pace.refuse(now + 1.015, now + 1.055, 1.0, granted=0, span=0.0)
    pace.send(pace.ready_at())
    return round(pace.rate / 0.95, 1)


class TestUnlimited:
    def test_ready(self) -> None:
        """Before the first refusal every request may go at once."""
        pace = Pace()

        pace.send(0.0)
        pace.grant(0.0)

        assert not pace.limited
        assert pace.ready_at() == -math.inf
        assert pace.rate == math.inf
        assert (pace.retry_after, pace.granted) == (0.0, 0)

    def test_forgotten(self) -> None:
        """A limit that was not met for more than ten minutes is gone."""
        pace = refused_pace()
        pace.send(12.0)
        pace.grant(12.0)

        pace.send(610.0)
        assert pace.limited

        pace.send(610.5)
        assert not pace.limited
        assert (pace.ready_at(), pace.rate, pace.granted) == (-math.inf, math.inf, 0)


class TestOvertaken:
    def test_old_answer(self) -> None:
        """An answer that was under way since before the last refusals tells nothing of the rate."""
        pace = refused_pace()
        for moment in (12.0, 14.0):
            pace.send(moment)
            pace.refuse(moment, moment + 0.1, 1.0, granted=0, span=math.inf)
        rate = pace.rate

        pace.grant(5.0)

        assert pace.rate == rate
        assert pace.granted == 1

    def test_burst(self) -> None:
        """Answers that the first refusal overtook are of the burst, of which half is used later."""
        pace = Pace()
        pace.refuse(10.0, 10.04, 1.0, granted=200, span=10.0)
        for _ in range(5):
            pace.grant(9.99)
        pace.send(pace.ready_at())
        gap = 1.0 / pace.rate

        pace.send(20.0)

        assert pace.ready_at() == close(20.0 - 2.0 * gap + gap)

    def test_sent_later(self) -> None:
        """So is what was sent up to a twentieth of a round trip after the first refused request."""
        pace = Pace()
        pace.refuse(10.0, 10.04, 1.0, granted=10, span=0.0)
        for moment in (10.0019, 10.0019, 10.0019, 10.0019, 10.0021, 10.0021):
            pace.grant(moment)
        pace.refuse(10.02, 10.06, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())
        gap = 1.0 / pace.rate

        pace.send(20.0)

        assert pace.ready_at() == close(20.0 - 6.5 * gap + gap)  # of a burst of 14

    def test_refilled(self) -> None:
        """What came while the first requests went is of the rate: 100 a second, and a burst of 60.

        The first 80 were granted within a fifth of a second, and later 160 within one.
        """
        pace = Pace()
        pace.refuse(10.0, 10.04, 1.0, granted=80, span=0.2)

        assert learned_rate(pace, 11.04) == 100.0

    def test_refilled_meanwhile(self) -> None:
        """So is what came between the first refusals, where it does not show a rate."""
        pace = Pace()
        pace.refuse(10.0, 10.1, 1.0, granted=80, span=0.2)
        for _ in range(2):
            pace.grant(10.001)
        pace.refuse(10.02, 10.12, 1.0, granted=0, span=0.0)

        assert learned_rate(pace, 11.12) == 100.0


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


class TestLateAnswer:
    def test_holds(self) -> None:
        """A refusal that took longer than the hold holds back again, and tells no rate."""
        pace = refused_pace()
        sends(pace, 20)
        now, rate = pace.ready_at(), pace.rate

        pace.refuse(10.01, now, 3.0, granted=0, span=0.0)

        assert pace.ready_at() == close(now + 3.0)
        pace.send(now + 3.0)
        assert rate <= pace.rate < 2.0 * rate

    def test_same_tick(self) -> None:
        """Where the clock does not move meanwhile, a refusal still tells some rate."""
        pace = Pace()
        for _ in range(3):
            pace.refuse(10.0, 10.0, 0.0, granted=0, span=math.inf)
            for _ in range(5):
                pace.grant(10.0)
            pace.send(10.0)

        assert 0.0 < pace.rate < math.inf

    def test_same_tick_as_grants(self) -> None:
        """So it does where requests were granted at that very tick."""
        pace = refused_pace()
        now = pace.ready_at()
        pace.send(now)
        for _ in range(5):
            pace.grant(now)
        pace.refuse(now, now, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())

        assert 0.0 < pace.rate < math.inf


class TestHold:
    def test_until(self) -> None:
        """No request goes before the time that the service asked to wait."""
        assert refused_pace(seconds=3.0).ready_at() == close(13.04)

    def test_extended(self) -> None:
        """A later refusal that asks for more extends the hold, one that asks for less does not."""
        pace = refused_pace(seconds=3.0)

        pace.refuse(10.01, 10.05, 1.0, granted=0, span=0.0)
        assert pace.ready_at() == close(13.04)

        pace.refuse(10.02, 10.06, 5.0, granted=0, span=0.0)
        assert pace.ready_at() == close(15.06)

    def test_longest(self) -> None:
        """No single answer stops the client for longer than an hour."""
        assert refused_pace(seconds=math.inf).ready_at() == close(3610.04)

    def test_spacing(self) -> None:
        """After the hold requests go one by one, and not all that have gathered."""
        first, second, *_ = sends(refused_pace(), 3)

        assert first == close(11.04)
        assert second - first == close(0.25)

    def test_growth(self) -> None:
        """A rate that is only a guess doubles in a fifth of a second."""
        pace = refused_pace()
        moments = sends(pace, 40)

        assert moments[-1] - moments[0] < 1.5
        assert pace.rate == close(4.0 * 2.0 ** ((pace.ready_at() - moments[0]) / 0.2))

    def test_most_doublings(self) -> None:
        """It doubles forty times at most."""
        pace = refused_pace(seconds=400.0)
        sends(pace, 2)

        assert pace.rate == close(0.01 * 2.0**40)

    def test_wait(self) -> None:
        """A caller should come back after the time asked for, else when the pace is ready."""
        pace = refused_pace(seconds=3.0)

        assert pace.wait(10.0) == close(3.04)
        assert pace.wait(13.0) == 3.0

    def test_in_flight(self) -> None:
        """Refusals of requests that were under way when the limit was met count once."""
        alone, many = refused_pace(), refused_pace()
        for pace in (alone, many):
            sends(pace, 60)
        now = alone.ready_at()

        alone.refuse(now - 0.01, now, 1.0, granted=0, span=0.0)
        for _ in range(30):
            many.refuse(now - 0.01, now, 1.0, granted=0, span=0.0)

        assert sends(many, 9) == sends(alone, 9)


class TestFirstRate:
    """The rate with which a pace goes on after the first refusals."""

    @pytest.mark.parametrize(
        ("granted", "span", "seconds", "rate"),
        [
            (0, math.inf, 1.0, 4.0),
            (3, 0.5, 1.0, 4.0),
            (20, 0.5, 1.0, 20.0),
            (20, 0.5, 2.0, 10.0),
            (20, 0.5, 0.1, 20.0),
            (20, 0.999, 1.0, 20.0),
            (20, 1.0, 1.0, 10.0),
            (300, 10.0, 1.0, 15.0),
        ],
    )
    def test_guess(self, granted: int, span: float, seconds: float, rate: float) -> None:
        """Without a measure it is guessed from what was granted before."""
        pace = Pace()
        pace.refuse(10.0, 10.04, seconds, granted=granted, span=span)
        first, second = sends(pace, 2)

        assert second - first == close(1.0 / rate)

    @pytest.mark.parametrize(
        ("meanwhile", "until", "rate"),
        [
            (2, 10.001, 103.5265),  # all at once
            (0, 10.5, 32.0),
            (1, 10.5, 11.3137),
            (2, 10.5, 3.3302),
            (16, 10.5, 28.8043),
        ],
    )
    def test_measured(self, meanwhile: int, until: float, rate: float) -> None:
        """What was granted to requests that were under way between the first refusals counts."""
        pace = Pace()
        pace.refuse(10.0, 10.04, 1.0, granted=100, span=0.5)
        for index in range(meanwhile):
            pace.grant(10.0 + (index + 0.5) * (until - 10.0) / meanwhile)
        pace.refuse(until, until + 0.04, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())

        assert pace.granted == meanwhile
        assert round(pace.rate, 4) == rate

    def met(self, refused: list[float], granted: list[float]) -> Pace:
        """Return a pace that goes on after a limit, from when requests were sent, in ms."""
        first, *others = refused
        pace = Pace()
        pace.refuse(10.0 + first / 1e3, 10.05, 1.0, granted=100, span=0.5)
        for moment in granted:
            pace.grant(10.0 + moment / 1e3)
        for moment in others:
            pace.refuse(10.0 + moment / 1e3, 10.15, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())
        return pace

    def test_line(self) -> None:
        """All the refusals tell the rate, so one that was long under way changes it little."""
        granted = [10.0 * number for number in range(1, 11)]  # 100 a second
        refused = [number + 5.0 for number in granted]

        assert round(self.met([0.0, *refused], granted).rate, 1) == 85.7
        assert round(self.met([-15.0, *refused], granted).rate, 1) == 78.8

    def test_overtaken(self) -> None:
        """A request that was sent a little later than a refused one may have come before it."""
        granted = [1.0, 41.0, 42.0, 43.0, 44.0]
        refused = [0.0, *[float(number) for number in range(20)], 40.5, 41.5, 42.5, 43.5, 45.0]

        assert round(self.met(refused, granted).rate, 1) == 77.7

    def test_later(self) -> None:
        """What was granted to requests that were sent after the last refused one does not count."""
        refused, granted = [0.0, 500.0], [30.0 * number for number in range(1, 17)]
        later = [510.0 + number for number in range(10)]

        assert round(self.met(refused, granted).rate, 3) == 28.804
        assert round(self.met(refused, [*granted, *later]).rate, 3) == 28.804

    def test_forgotten(self) -> None:
        """Nothing of the refusals is kept after the hold, however many holds there are."""
        pace = self.met([0.0, 500.0], [])
        for _ in range(3):
            now = pace.ready_at()
            pace.refuse(now, now, 1.0, granted=0, span=0.0)
            pace.refuse(now, now, 1.0, granted=0, span=0.0)
            pace.send(pace.ready_at())

        assert pace._refusals == []  # pyright: ignore[reportPrivateUsage]

    def test_no_time(self) -> None:
        """Answers that take no time, as in process, are taken for a volley."""
        pace = Pace()
        for _ in range(2):
            pace.refuse(10.0, 10.0, 1.0, granted=20, span=0.5)

        first, second = sends(pace, 2)

        assert second - first == close(0.05)


class TestRate:
    def paced(self, rate: float, seconds: float) -> tuple[Pace, float]:
        """Return a pace that a service granted so many a second until it refused."""
        pace = refused_pace()
        now = pace.ready_at()
        pace.send(now)
        for index in range(int(rate * seconds)):
            pace.grant(now + (index + 1) / rate)
        end = now + seconds
        pace.refuse(end, end, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())
        return pace, end

    def test_measured(self) -> None:
        """What was granted between two refusals tells the rate, which is begun with from below."""
        pace, _ = self.paced(20.0, 10.0)

        assert 16.0 < pace.rate < 20.0

    @pytest.mark.parametrize(
        ("volleys", "rates"),
        [
            ([(0, 10)], [4.5666, 7.4073]),
            ([(1, 10)], [4.5666, 7.4073]),
            ([(7, 10)], [5.98, 7.4582]),
            ([(8, 10)], [6.1839, 7.4712]),
            ([(200, 10)], [18.674, 19.1502]),
            ([(200, 3)], [58.8794, 59.5998]),
            ([(60, 1)], [46.6014, 47.5962]),
            ([(200, 10), (200, 10)], [18.674, 13.4594, 14.7957]),
            ([(200, 10), (195, 10)], [18.674, 13.4594, 14.7957]),
            ([(40, 0.2)], [86.4607, 87.539]),
            ([(200, 10), (7, 10)], [18.674, 11.7503, 13.8152]),
            ([(200, 10), (8, 10)], [18.674, 12.1509, 13.9343]),
            ([(7, 10), (3, 10)], [5.98, 2.9185, 4.8606]),
            ([(200, 10), (250, 10), (250, 10)], [18.674, 13.4594, 9.7497, 10.8088]),
            ([(4, 0.5), (4, 0.5)], [4.5, 3.6239, 4.306]),
            ([(1500, 3)], [423.9003, 424.6798]),
        ],
    )
    def test_learned(self, volleys: list[tuple[int, float]], rates: list[float]) -> None:
        """After each time, in which so many were granted, the rate is as it was; then it rises."""
        pace = refused_pace()
        found: list[float] = []
        for granted, seconds in volleys:
            now = pace.ready_at()
            pace.send(now)
            for index in range(granted):
                pace.grant(now + (index + 1) * seconds / granted)
            end = now + seconds
            pace.refuse(end, end + 0.04, 1.0, granted=0, span=0.0)
            pace.send(pace.ready_at())
            found.append(round(pace.rate, 4))
        sends(pace, 30)

        assert [*found, round(pace.rate, 4)] == rates

    @pytest.mark.parametrize(("until", "rate"), [(0.02, 5.6342), (0.03, 93.6539)])
    def test_last_moment(self, until: float, rate: float) -> None:
        """What was granted in the last fiftieth of a second alone is too little to tell a rate."""
        pace = Pace()
        pace.refuse(-2.0, -1.96, 0.96, granted=0, span=0.0)
        pace.send(-1.0)
        for _ in range(5):
            pace.grant(0.0)
        pace.refuse(until, until, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())

        assert round(pace.rate, 4) == rate

    def test_idle(self) -> None:
        """Time in which nobody waited does not raise the rate."""
        pace, end = self.paced(20.0, 10.0)
        before = pace.rate

        for index in range(100):
            pace.send(end + 10.0 + index)

        assert pace.rate == before

    def test_little_used(self) -> None:
        """Time in which nobody waited does not lower the measured rate much either."""
        pace, end = self.paced(20.0, 10.0)
        before = pace.rate

        pace.send(end + 500.0)
        pace.grant(end + 500.0)
        pace.refuse(end + 501.0, end + 501.0, 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())

        assert pace.rate == close(0.6 * 0.8 * before)  # from below, as one grant says little

    def test_longest_gap(self) -> None:
        """However often the service refuses, requests go at most ten seconds apart."""
        pace = refused_pace()
        for _ in range(50):
            now = pace.ready_at()
            pace.send(now)
            pace.send(pace.ready_at())
            pace.refuse(pace.ready_at(), pace.ready_at(), 1.0, granted=0, span=0.0)
        pace.send(pace.ready_at())

        assert 1.0 / pace.rate == close(10.0)

    def test_rises(self) -> None:
        """Requests that had to wait raise the rate, in the end beyond what was measured."""
        pace, _ = self.paced(20.0, 10.0)

        sends(pace, 600)

        assert pace.rate > 25.0


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

    def test_no_answer(self) -> None:
        """What ended without an answer is not of the burst, and does not begin it."""
        turnstile, woken = self.turnstile(2)
        turnstile.enter()
        turnstile.enter()
        turnstile.exit(None)
        turnstile.enter()
        turnstile.exit(100.0)
        for _ in range(20):
            turnstile.enter()
            turnstile.exit(100.2)
        turnstile.exit(100.4)
        turnstile.refuse(100.4, 100.5, 1.0)
        turn = self.join(turnstile, 1, woken)

        assert turnstile.ask(turn, 101.5) == 0.0
        assert round(turnstile.pace.rate, 4) == 24.7681

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

        assert turnstile.ask(second, 400.6) == close(99.9)
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

    def test_burst_seen(self) -> None:
        """What was answered since the client was last idle, and in which time, shows the burst."""
        turnstile, woken = self.turnstile(2)
        turnstile.enter()
        for _ in range(20):
            turnstile.enter()
            turnstile.exit(100.0)
        turnstile.exit(100.1)
        turnstile.refuse(100.4, 100.5, 1.0)
        turn = self.join(turnstile, 1, woken)

        assert turnstile.ask(turn, 101.5) == 0.0
        assert round(turnstile.pace.rate, 4) == 23.7841

    def test_first_refused(self) -> None:
        """A refusal that is the first answer says nothing of the time in which the burst went."""
        turnstile, _ = self.turnstile(2)
        turnstile.enter()
        turnstile.enter()
        turnstile.exit(100.1)
        turnstile.refuse(100.0, 100.14, 1.0)
        for _ in range(60):
            turnstile.pace.grant(100.0)

        assert learned_rate(turnstile.pace, 101.14) == 100.0

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

    def test_sooner(self) -> None:
        """A call that knows for how long to wait is woken if the next may go sooner."""
        turnstile, woken = self.limited(9.0, slots=2)
        turnstile.ask(self.join(turnstile, 1, woken), 9.5)
        second = self.join(turnstile, 2, woken)
        assert turnstile.ask(second, 9.6) == close(2.15)

        turnstile.exit(9.5)
        assert woken == []
        turnstile.refuse(9.5, 9.7, 1.0)
        assert woken == [2]
        assert turnstile.ask(second, 9.7) == close(1.0)

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
        turnstile.pace.forget()
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
        (1000, Limit(20.0, 5), 0.03, 1.15),
        (1000, Limit(100.0, 20), 0.03, 1.4),
        (300, Limit(100.0, 20), 0.08, 1.8),
        (1000, Limit(7.0, 1), 0.05, 1.4),
        (1000, Limit(50.0, 50, retry_after=2, halfway=0.5), 0.05, 1.2),
        (1000, Limit(20.0, 5, halfway=2.0), 0.03, 1.4),
        (600, Limit(50.0, 10, halfway=0.1), 0.05, 1.1),
        (60, Limit(0.5, 1), 0.1, 1.5),
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
        assert outcome.counted < 3
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


RECORDED: Final = Path(__file__).parents[1] / "data" / "pace.txt"
JOBS: Final = {
    "20 a second": (Simulation(Limit(20.0, 5)), 700),
    "100 a second": (Simulation(Limit(100.0, 20), jitter=0.1), 700),
    "7 a second": (Simulation(Limit(7.0, 1)), 200),
    "halved": (Simulation(Limit(50.0, 50, retry_after=2, halfway=0.5)), 700),
    "a tenth": (Simulation(Limit(50.0, 10, halfway=0.1)), 300),
    "one in two seconds": (Simulation(Limit(0.5, 1)), 50),
    "far away": (Simulation(Limit(40.0, 10), latency=0.3, jitter=0.3), 500),
    "three at once": (Simulation(Limit(30.0, 30), slots=3), 300),
    "one at a time": (Simulation(Limit(30.0, 30), slots=1, latency=0.01), 300),
    "one granted meanwhile": (Simulation(Limit(2.0, 60), slots=10, jitter=0.3), 90),
    "300 a second": (Simulation(Limit(300.0, 60)), 4000),
    "a long way before the limit": (Simulation(Limit(30.0, 90), slots=2), 400),
}


def test_recorded() -> None:
    """Every twentieth request of these jobs goes when it went before: no figure changes unseen."""
    lines = [
        " ".join([f"{name}:", *(f"{moment:.3f}" for moment in job.run(calls).moments[::20])])
        for name, (job, calls) in JOBS.items()
    ]
    assert lines == RECORDED.read_text("utf-8").splitlines()


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

        assert len(outcome.completed) > 500
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
    assert outcome.counted < 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "grant", "refuse"]), st.floats(0.0, 9.0), st.floats(0.0, 30.0)
        ),
        max_size=60,
    )
)
def test_any_history(steps: list[tuple[str, float, float]]) -> None:
    """Whatever a pace is told, it stays a rate, and nobody waits long but for a hold."""
    pace, now = Pace(), 0.0
    for what, seconds, age in steps:
        now += seconds
        if what == "send":
            now = max(now, pace.ready_at())
            pace.send(now)
        elif what == "grant":
            pace.grant(now - age)
        else:
            pace.refuse(now - age, now, 1.0, granted=3, span=age)
        if pace.limited:
            assert pace.rate > 0.0
            assert pace.ready_at() - max(now, pace.held_until) < 10.01
