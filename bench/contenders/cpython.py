"""harness/measures.mjs for CPython's multiprocessing: same names, same loops, one line of JSON."""
import json
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import threading
import time

MIB = 2**20


def nothing():
    pass


def increment(x):
    return x + 1


def echo(data):
    return data


def idle(file):
    with open(file, "a") as marker:
        marker.write(".")
    signal.pause()


def lifecycle(ms, method, **_):
    times = sample(lambda: start_and_join(method), 0.3, ms / 1e3, 10)
    return {"value": quantile(times, 0.5) * 1e3, "p99": quantile(times, 0.99) * 1e3, "n": len(times)}


def inARow(count, method, **_):
    for _ in range(50):
        start_and_join(method)
    times = []
    for _ in range(count):
        times.append(timed(lambda: start_and_join(method)) * 1e3)
    first, last = statistics.median(times[:100]), statistics.median(times[-100:])
    return {"value": last / first, "first": first, "last": last}


def aliveAtOnce(count, method, **_):
    context = multiprocessing.get_context(method)
    with tempfile.TemporaryDirectory() as folder:
        marker = os.path.join(folder, "running")
        start = time.perf_counter()
        children = [context.Process(target=idle, args=(marker,)) for _ in range(count)]
        for child in children:
            child.start()
        while not os.path.exists(marker) or os.path.getsize(marker) < count:
            time.sleep(0.001)
        up = time.perf_counter() - start
        pss = statistics.median(pss_of(child.pid) for child in children[:20])
        start = time.perf_counter()
        for child in children:
            child.kill()
        for child in children:
            child.join()
        return {"value": up * 1e3, "gone": (time.perf_counter() - start) * 1e3, "pss": pss}


def roundTrip(ms, workers, **_):
    with multiprocessing.Pool(workers) as pool:
        times = sample(lambda: check(pool.apply(increment, (1,)) == 2), ms / 1e3, ms / 1e3, 100)
        return {"value": quantile(times, 0.5) * 1e6, "p99": quantile(times, 0.99) * 1e6, "n": len(times)}


def throughput(ms, workers, inFlight, **_):
    with multiprocessing.Pool(workers) as pool:
        free = threading.Semaphore(inFlight)
        done = 0

        def finished(_):
            nonlocal done
            done += 1
            free.release()

        def run(seconds):
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                free.acquire()
                pool.apply_async(increment, (1,), callback=finished)

        run(ms / 1e3)
        before, start, cpu = done, time.perf_counter(), time.process_time()
        run(ms / 1e3)
        tasks, elapsed, cpu = done - before, time.perf_counter() - start, time.process_time() - cpu
        return {"value": tasks / elapsed / 1e3, "cpu": cpu / tasks * 1e6}


def map(ms, items, workers, **_):  # noqa: A001, the row's name
    with multiprocessing.Pool(workers) as pool:
        numbers = list(range(items))
        times = sample(lambda: check(pool.map(increment, numbers)[-1] == items), ms / 1e3, ms / 1e3, 5)
        return {"value": items / quantile(times, 0.5) / 1e6, "worst": items / max(times) / 1e6}


def megabyte(ms, workers, **_):
    with multiprocessing.Pool(workers) as pool:
        data = bytes(MIB)
        times = sample(lambda: check(len(pool.apply(echo, (data,))) == MIB), ms / 1e3, ms / 1e3, 20)
        return {"value": quantile(times, 0.5) * 1e3, "p99": quantile(times, 0.99) * 1e3}


def start_and_join(method):
    process = multiprocessing.get_context(method).Process(target=nothing)
    process.start()
    process.join()


def check(right):
    if not right:
        raise ValueError("a wrong result")


def sample(once, warm_up, seconds, least):
    until = time.perf_counter() + warm_up
    while time.perf_counter() < until:
        once()
    times, until = [], time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < until:
        times.append(timed(once))
    return times


def timed(once):
    start = time.perf_counter()
    once()
    return time.perf_counter() - start


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def pss_of(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))), flush=True)
