"""A django-q2 cluster that can be stopped at once, leaves no orphans, and survives the sudden death of its parts.

django-q2 1.11 waits for the running task when it is stopped; lets workers live on when its main process is killed; and
puts a new worker in the place of a killed one although the dead one may have taken the queue's lock with it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn
from uuid import uuid4

from django.db import connections
from django_q import cluster as django_q_cluster
from django_q.conf import Conf
from gunicorn.systemd import sd_notify

from rendering import queue, tickets, workers
from rendering.execution import asked, figures, outage, stopping
from rendering.execution.child import die_with_parent

log = logging.getLogger("heygem.cluster")

PART_DIED = 70
PAUSE_S = 1.0
"""Between the death of a cluster's part and its new start."""
BEAT_S = 10.0
"""How often the main process says that its workers are there, idle or not, and how its machine stands."""
WATCH_S = 15.0
"""How often the main process looks whether its workers still take tickets."""
ENDED_TIMERS = (0, -2)
"""What django-q2 writes for a worker that ended in good order: after a timeout, and to be recycled."""


class Sentinel(django_q_cluster.Sentinel):
    """Starts workers, and gives up as a whole when one of its processes dies suddenly."""

    def reincarnate(self, process: BaseProcess) -> None:
        if process in self.pool and int(process.timer.value) in ENDED_TIMERS:  # type: ignore[attr-defined]
            super().reincarnate(process)
        else:
            self.give_up(process)

    def give_up(self, dead: BaseProcess) -> NoReturn:
        log.error("process %s died (%s): its cluster starts afresh", dead.pid, dead.exitcode)
        for part in (*self.pool, self.monitor, self.pusher):
            part.kill()
        os._exit(PART_DIED)


class Duty:
    """Something that is done every ``every_s`` seconds, unless the database is away."""

    def __init__(self, every_s: float, act: Callable[[], object]) -> None:
        self.every_s, self.act = every_s, act
        self.done_at = float("-inf")

    def do_if_due(self) -> None:
        if time.monotonic() - self.done_at >= self.every_s:
            outage.quietly(self.act)
            self.done_at = time.monotonic()


class Cluster(django_q_cluster.Cluster):
    """Run it with :meth:`run` in the main thread of a process that does nothing else.

    SIGTERM and SIGINT put running work back and end at once; SIGQUIT ends when it is done (SIGTERM may follow). To
    systemd it says when it is ready and, every :data:`WATCH_S` seconds, that it is well.
    """

    asked_to_stop = False

    def drain(self, _signum: int, _frame: FrameType | None) -> None:
        self.asked_to_stop = True
        sd_notify("STOPPING=1", log)
        stopping.announce_last()
        if self.stop_event is not None:
            self.stop_event.set()

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        self.asked_to_stop = True
        stopping.announce()
        if self.sentinel is not None:
            super().sig_handler(signum, frame)

    def run(self) -> None:
        """Work until a signal asks to stop. Give the signal to this process alone."""
        stopping.listen()
        signal.signal(signal.SIGQUIT, self.drain)
        # A signal, so that it is said also while a database that is cut off keeps us waiting.
        signal.signal(signal.SIGALRM, lambda _number, _frame: sd_notify("WATCHDOG=1", log))
        signal.setitimer(signal.ITIMER_REAL, WATCH_S, WATCH_S)
        os.register_at_fork(after_in_child=die_with_parent)
        while not self.asked_to_stop:
            outage.answered(self.prepare)
            connections.close_all()  # nothing may be shared with the forks
            self.start()
            if self.asked_to_stop:
                self.stop()
            sd_notify("READY=1", log)
            self.look_after()
            if not self.asked_to_stop:
                time.sleep(PAUSE_S)

    def prepare(self) -> None:
        """Before workers start: tickets that a dead cluster holds are lost for hours."""
        if Conf.CLUSTER_NAME == workers.UPKEEP_CLUSTER:
            workers.schedule_upkeep()
        queue.reap()
        tickets.deliver_again(Conf.CLUSTER_NAME)

    def look_after(self) -> None:
        """Until the sentinel ends. A database that is away is no reason to do anything."""
        restarts, sampler = asked.Restarts(Conf.CLUSTER_NAME), figures.Sampler()
        duties = (
            Duty(asked.LOOK_S, lambda: self.obey(restarts)),
            Duty(BEAT_S, lambda: workers.beat_here(Conf.CLUSTER_NAME, sampler.sample())),
            Duty(WATCH_S, self.watch),
        )
        while self.sentinel.is_alive():
            self.sentinel.join(asked.LOOK_S)
            for duty in duties:
                if self.sentinel.is_alive() and not self.asked_to_stop:
                    duty.do_if_due()

    def obey(self, restarts: asked.Restarts) -> None:
        """Start afresh because a person asked one of our workers to."""
        if restarts.is_due():
            log.warning("an operator asked for it: this cluster starts afresh")
            self.sentinel.kill()  # on Linux its processes die with it

    def watch(self) -> None:
        """Start afresh when tickets wait beside idle workers."""
        if Conf.CLUSTER_NAME in workers.stuck_clusters():
            log.error("this cluster has stopped taking work and starts afresh")
            self.sentinel.kill()  # on Linux its processes die with it

    def start(self) -> int:
        """As django-q2 does it, with our sentinel."""
        context = django_q_cluster.get_mp_context()
        self.stop_event, self.start_event = context.Event(), context.Event()
        self.sentinel = context.Process(
            target=Sentinel,
            name=f"Process-{uuid4().hex}",
            args=(self.stop_event, self.start_event, self.cluster_id, self.broker, self.timeout),
        )
        self.sentinel.start()
        while self.start_event is not None and not self.start_event.is_set() and self.sentinel.is_alive():
            time.sleep(0.1)
        return int(self.pid)
