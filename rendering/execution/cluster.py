"""A django-q2 cluster that can be stopped at once, leaves no orphans, and survives the sudden death of its parts.

django-q2 1.11 waits for the running task when it is stopped; lets workers live on when its main process is killed; and
puts a new worker in the place of a killed one although the dead one may have taken the queue's lock with it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn
from uuid import uuid4

from django.db import DatabaseError, connections
from django_q import cluster as django_q_cluster
from django_q.conf import Conf
from gunicorn.systemd import sd_notify

from rendering import queue, tickets, workers
from rendering.execution import asked, stopping
from rendering.execution.child import die_with_parent

log = logging.getLogger("heygem.cluster")

PART_DIED = 70
PAUSE_S = 1.0
"""Between the death of a cluster's part and its new start."""
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
        os.register_at_fork(after_in_child=die_with_parent)
        while not self.asked_to_stop:
            queue.reap()  # tickets that a dead cluster holds are lost for hours
            tickets.deliver_again(Conf.CLUSTER_NAME)
            connections.close_all()  # nothing may be shared with the forks
            self.start()
            if self.asked_to_stop:
                self.stop()
            sd_notify("READY=1", log)
            restarts, watched_at = asked.Restarts(Conf.CLUSTER_NAME), time.monotonic()
            while self.sentinel.is_alive():
                self.sentinel.join(asked.LOOK_S)
                self.obey(restarts)
                if time.monotonic() - watched_at >= WATCH_S:
                    watched_at = time.monotonic()
                    self.watch()
            if not self.asked_to_stop:
                time.sleep(PAUSE_S)

    def obey(self, restarts: asked.Restarts) -> None:
        """Start afresh because a person asked one of our workers to."""
        try:
            is_due = not self.asked_to_stop and restarts.is_due()
        except DatabaseError:
            connections.close_all()
            return
        if is_due and self.sentinel.is_alive():
            log.warning("an operator asked for it: this cluster starts afresh")
            self.sentinel.kill()  # on Linux its processes die with it

    def watch(self) -> None:
        """Start afresh when tickets wait beside idle workers. A database that is away is no reason to."""
        sd_notify("WATCHDOG=1", log)
        try:
            stuck = not self.asked_to_stop and Conf.CLUSTER_NAME in workers.stuck_clusters()
        except DatabaseError:
            return
        finally:
            connections.close_all()
        if stuck and self.sentinel.is_alive():
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
