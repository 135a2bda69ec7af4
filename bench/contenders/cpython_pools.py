"""harness/pools.mjs for CPython's pools and executors: same names, same loops, one line of JSON."""
import concurrent.futures
import contextlib
import json
import math
import multiprocessing
import multiprocessing.pool
import os
import sys
import threading
import time
from multiprocessing import shared_memory

from cpython import MIB, check, echo, increment, quantile, sample

CHUNKS_A_WORKER = 4
FEW = 1_000
WARM_UP = 2
TICK = 1e6 / os.sysconf("SC_CLK_TCK")


class Pool:
    """multiprocessing's. `apply` waits for the result, `submit` gives it to `done`, `ask` returns what waits for it."""

    def __init__(self, of, workers, method=None):
        make = multiprocessing.pool.ThreadPool if of == "ThreadPool" else multiprocessing.get_context(method).Pool
        self.pool = make(workers)
        self.apply = lambda fn, x: self.pool.apply(fn, (x,))
        self.submit = lambda fn, x, done: self.pool.apply_async(fn, (x,), callback=done)
        self.map = lambda fn, items: self.pool.map(fn, items)

    def ask(self, fn, x):
        return self.pool.apply_async(fn, (x,)).get

    def close(self):
        self.pool.terminate()


class Executor:
    """concurrent.futures', the same. `chunked`: its map makes chunks of its items as Pool's does, for it makes none by itself."""

    def __init__(self, of, workers, method=None, chunked=False):
        if of == "ThreadPoolExecutor":
            self.pool = concurrent.futures.ThreadPoolExecutor(workers)
        else:
            context = multiprocessing.get_context(method)
            self.pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)
        self.workers, self.chunked = workers, chunked

    def apply(self, fn, x):
        return self.pool.submit(fn, x).result()

    def submit(self, fn, x, done):
        self.pool.submit(fn, x).add_done_callback(lambda future: done(future.result()))

    def ask(self, fn, x):
        return self.pool.submit(fn, x).result

    def map(self, fn, items):
        chunksize = math.ceil(len(items) / (CHUNKS_A_WORKER * self.workers)) if self.chunked else 1
        return list(self.pool.map(fn, items, chunksize=chunksize))

    def close(self):
        self.pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def opened(of, workers, method=None, **options):
    pool = (Executor if of.endswith("Executor") else Pool)(of, workers, method, **options)
    try:
        yield pool
    finally:
        pool.close()


def roundTrip(ms, of, workers, **_):
    with opened(of, workers) as pool:
        def once():
            check(pool.apply(increment, 1) == 2)

        sample(once, 0, ms / 1e3, 1)
        cpu = watch_cpu()
        times = sample(once, 0, ms / 1e3, 100)
        return {
            "value": quantile(times, 0.5) * 1e6,
            "p99": quantile(times, 0.99) * 1e6,
            "cpu all": cpu()[1] / len(times),
            "n": len(times),
        }


def throughput(ms, of, workers, inFlight, task="increment", size=None, **_):
    if task == "increment":
        fn, given, value = increment, 1, lambda answer: answer
    else:
        fn, given, value = echo, order(size), lambda answer: answer["id"]
    free = threading.Semaphore(inFlight)
    done = total = 0

    def finished(answer):
        nonlocal done, total
        done, total = done + 1, total + value(answer)
        free.release()

    def run(seconds):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            free.acquire()
            pool.submit(fn, given, finished)

    with opened(of, workers) as pool:
        run(WARM_UP * ms / 1e3)
        cpu = watch_cpu(of)
        before, start = done, time.perf_counter()
        run(ms / 1e3)
        count, elapsed = done - before, time.perf_counter() - start
        caller, whole = cpu()
        for _ in range(inFlight):
            free.acquire()
        check(total == done * value(fn(given)))
        return {"value": count / elapsed / 1e3, "cpu": caller / count, "cpu all": whole / count}


def order(size):
    head = {"id": 1_000, "name": "a small order", "total": 12.5, "paid": False}
    lines = []

    def length():
        return len(json.dumps({**head, "lines": lines}, separators=(",", ":")))

    while length() < size:
        article = f"A-{100 + len(lines)}"
        lines.append({"article": article, "title": "a thing to be ordered", "price": 9.75, "count": 3})
    return head if size <= 64 else {**head, "lines": lines}


def items(ms, of, items, workers, **_):
    numbers = range(items)

    def give(numbers):
        waiting = [pool.ask(increment, x) for x in numbers]
        answers = [wait() for wait in waiting]
        check(len(answers) == len(numbers) and all(answer == x + 1 for x, answer in enumerate(answers)))

    with opened(of, workers) as pool:
        sample(lambda: give(numbers[:FEW]), 0, WARM_UP * ms / 1e3, 1)
        cpu = watch_cpu()
        times = sample(lambda: give(numbers), 0, ms / 1e3, 1)
        return {"value": items / quantile(times, 0.5) / 1e3, "cpu all": cpu()[1] / (items * len(times))}


def map(ms, of, items, workers, kind=None, **options):  # noqa: A001, the row's name
    with opened(of, workers, **options) as pool:
        numbers = list(range(items))

        def once():
            answers = pool.map(increment, numbers)
            check(len(answers) == items and answers[0] == 1 and answers[-1] == items)

        times = sample(once, ms / 1e3, ms / 1e3, 3)
        return {"value": items / quantile(times, 0.5) / 1e6, "worst": items / max(times) / 1e6}


def megabyte(ms, of, workers, **_):
    with opened(of, workers) as pool:
        data = bytes(MIB)
        times = sample(lambda: check(len(pool.apply(echo, data)) == MIB), ms / 1e3, ms / 1e3, 20)
        return {"value": quantile(times, 0.5) * 1e3, "p99": quantile(times, 0.99) * 1e3}


def sharedMegabyte(ms, of, workers, **_):
    """`of`: a SharedMemory as an argument, which each task attaches to, or an array that the workers have inherited."""
    if of == "SharedMemory":
        shared = shared_memory.SharedMemory(create=True, size=MIB)
        data, touch, given, initial = shared.buf, touch_attached, shared, ()
    else:
        data = multiprocessing.RawArray("B", MIB)
        touch, given, initial = touch_inherited, None, (data,)

    def once():
        number = (data[MIB - 1] + 1) % 256
        check(pool.apply(touch, (given,)) == number == data[MIB - 1])

    try:
        with multiprocessing.get_context("fork").Pool(workers, inherit, initial) as pool:
            times = sample(once, ms / 1e3, ms / 1e3, 100)
            return {"value": quantile(times, 0.5) * 1e6, "p99": quantile(times, 0.99) * 1e6}
    finally:
        if of == "SharedMemory":
            data.release()
            shared.close()
            shared.unlink()


def inherit(*data):
    inherit.data = data


def touch_attached(shared):
    number = shared.buf[MIB - 1] = (shared.buf[MIB - 1] + 1) % 256
    shared.close()
    return number


def touch_inherited(_):
    (data,) = inherit.data
    data[MIB - 1] = (data[MIB - 1] + 1) % 256
    return data[MIB - 1]


def coldStart(of, workers, method=None, **_):
    def start():
        start = time.perf_counter()
        with opened(of, workers, method) as pool:
            check(pool.apply(increment, 1) == 2)
            return (time.perf_counter() - start) * 1e3

    return {"value": start(), "second": start()}


def watch_cpu(of="Pool"):
    """harness/pools.mjs says what. The caller: this process, or where the workers are threads this thread."""
    mark = f"\0BENCH_RUN={os.environ.get('BENCH_RUN')}\0".encode()
    family = {os.getpid(), *(int(name) for name in os.listdir("/proc") if name.isdigit() and mark in environment(name))}
    clock = time.thread_time if of.startswith("Thread") else time.process_time

    def now():
        return clock() * 1e6, sum(cpu_of(pid) for pid in family)

    before = now()
    return lambda: [after - at for after, at in zip(now(), before)]


def environment(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + file.read()
    except OSError:
        return b""


def cpu_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0
    return (int(user) + int(system)) * TICK


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))), flush=True)
