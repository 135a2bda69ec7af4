"""harness/measures.mjs for CPython's multiprocessing: same names, same loops, one line of JSON."""
import itertools
import json
import multiprocessing
import os
import queue
import signal
import statistics
import sys
import tempfile
import threading
import time

MIB = 2**20
REPEATED = 5_000
HEAD_START = 0.03
CHECK = 20e-6
BATCH = 100


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


def threads(pause, count, **_):
    times = []
    for _ in range(3 + count):
        times.append(timed(start_and_join_thread))
        time.sleep(pause / 1e3)
    times = times[3:]
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


def repeat(ms, of, type=None, **_):  # noqa: A002, the row's name
    loop = value_loop(multiprocessing.Value(type, 0)) if of.startswith("Value") else pair_loop(made(of))
    times = sample(lambda: loop(REPEATED), ms / 1e3, ms / 1e3, 20)
    return {"value": quantile(times, 0.5) * 1e9 / REPEATED, "p99": quantile(times, 0.99) * 1e9 / REPEATED}


def made(of):
    module, name = of.split(".")
    return getattr({"multiprocessing": multiprocessing, "threading": threading}[module], name)()


def pair_loop(lock):
    acquire, release = lock.acquire, lock.release

    def loop(count):
        for _ in range(count):
            acquire()
            release()

    return loop


def value_loop(value):
    def loop(count):
        before = value.value
        for _ in range(count):
            with value.get_lock():
                value.value += 1
        check(value.value == before + count)

    return loop


def contention(ms, **options):
    rate, least, longest = contention_of(ms=ms, warm_up=ms / 2, **options)
    return {"value": rate / 1e3, "least": least, "longest": longest}


def fairness(ms, **options):
    rate, least, longest = contention_of(ms=ms, warm_up=ms / 4, **options)
    return {"value": longest, "rate": rate, "least": least}


def contention_of(processes, ms, warm_up, hold=None, **_):
    """harness/contention.mjs says how."""
    context = multiprocessing.get_context("fork")
    lock, shares = context.Lock(), context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        args = (lock, shares, folder, processes, ms / 1e3, warm_up / 1e3, hold)
        children = [context.Process(target=take_part, args=args) for _ in range(processes)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        check(not any(child.exitcode for child in children))
        found = [shares.get() for _ in children]
    pairs = sum(pairs for pairs, _ in found)
    least = min(pairs for pairs, _ in found) / (pairs / processes) * 100
    return pairs / ms, least, max(longest for _, longest in found) * 1e3


def take_part(lock, shares, folder, processes, seconds, warm_up, hold):
    start = meet(os.path.join(folder, "ready"), processes)
    until = start + warm_up + seconds
    check_exclusion(lock, os.path.join(folder, "held"), start + warm_up / 2)
    count = count_pairs if hold is None else wait_in_turn
    shares.put(count(lock, start + warm_up, until, hold))


def meet(file, parties):
    start = arrive(file, parties)
    while time.time() < start:
        time.sleep(0.001)
    return start


def arrive(file, parties):
    with open(file, "a") as marker:
        marker.write(".")
    while os.path.getsize(file) < parties:
        time.sleep(0.001)
    return os.path.getmtime(file) + HEAD_START


def check_exclusion(lock, file, until):
    while True:
        with lock:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL))
            spin(CHECK)
            os.unlink(file)
        if time.time() >= until:
            return


def count_pairs(lock, start, until, _):
    loop, pairs, longest, now = pair_loop(lock), 0, 0, time.perf_counter()
    while time.time() < until:
        loop(100)
        after, at = time.perf_counter(), time.time()
        if at >= start:
            longest = max(longest, after - now)
        if start <= at < until:
            pairs += 100
        now = after
    return pairs, longest


def wait_in_turn(lock, start, until, hold):
    pairs, longest = 0, 0
    while time.time() < until:
        asked = time.perf_counter()
        with lock:
            waited, at = time.perf_counter() - asked, time.time()
            if at >= start and waited > longest:
                longest = waited
            if start <= at < until:
                pairs += 1
            spin(hold / 1e6)
    return pairs, longest


def spin(seconds):
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        pass


def pingPong(ms, of, size=None, **_):
    trip, other, parts = SIDES[of](size)
    ready = multiprocessing.Event()
    child = multiprocessing.Process(target=other, args=(ready, *parts), daemon=True)
    child.start()
    ready.wait()
    if of == "Condition":
        parts[0].acquire()
    times = sample(trip, ms / 1e3, ms / 1e3, 100)
    child.kill()
    child.join()
    return {"value": quantile(times, 0.5) * 1e6, "p99": quantile(times, 0.99) * 1e6, "n": len(times)}


def event_sides():
    there, back = multiprocessing.Event(), multiprocessing.Event()

    def trip():
        there.set()
        back.wait()
        back.clear()

    return trip, event_other, (there, back)


def event_other(ready, there, back):
    ready.set()
    while True:
        there.wait()
        there.clear()
        back.set()


def condition_sides():
    condition = multiprocessing.Condition()

    def trip():
        condition.notify()
        condition.wait()

    return trip, condition_other, (condition,)


def condition_other(ready, condition):
    with condition:
        ready.set()
        while True:
            condition.wait()
            condition.notify()


def channel_sides(ends, size):
    (send, receive), far = ends
    trips = itertools.count()

    def trip():
        message = next(trips) if size is None else bytes([next(trips) & 255]) * size
        send(message)
        check(receive() == message)

    return trip, send_back, far


def send_back(ready, send, receive):
    ready.set()
    while True:
        send(receive())


def queue_ends(make):
    there, back = make(), make()
    return (there.put, back.get), (back.put, there.get)


def pipe_ends(send, receive):
    return tuple((getattr(end, send), getattr(end, receive)) for end in multiprocessing.Pipe())


SIDES = {
    "Event": lambda _: event_sides(),
    "Condition": lambda _: condition_sides(),
    "Queue": lambda size: channel_sides(queue_ends(multiprocessing.Queue), size),
    "SimpleQueue": lambda size: channel_sides(queue_ends(multiprocessing.SimpleQueue), size),
    "Pipe": lambda size: channel_sides(pipe_ends("send", "recv"), size),
    "Pipe, bytes": lambda size: channel_sides(pipe_ends("send_bytes", "recv_bytes"), size),
}


def stream(ms, **options):
    rate, behind = rate_of(ms=ms, **options)
    return {"value": rate, "behind": behind}


def bytesStream(ms, size, **options):
    rate, behind = rate_of(ms=ms, size=size, item="bytes", **options)
    return {"value": rate * size / 1e6, "rate": rate, "behind": behind}


def rate_of(ms, of, item, size=None, pairs=1, maxsize=0, **_):
    """harness/stream.mjs says how."""
    put, get, end = channel(of, maxsize)
    make, read = items(item, size)
    party, shares = (
        (threading.Thread, queue.SimpleQueue())
        if of.startswith("queue.")
        else (multiprocessing.get_context("fork").Process, multiprocessing.SimpleQueue())
    )
    with tempfile.TemporaryDirectory() as folder:
        lengths = {"warm-up": ms / 2e3, "measured": ms / 1e3}
        passes = [(os.path.join(folder, name), 2 * pairs, length) for name, length in lengths.items()]
        roles = [(consume, (get, end, read)), (produce, (put, end, make, read))] * pairs
        parties = [party(target=role, args=(shares, passes, *args)) for role, args in roles]
        for one in parties:
            one.start()
        parts = [shares.get() for _ in parties]
        for one in parties:
            one.join()
    was_put, put_sum, got, got_sum = (sum(column) for column in list(zip(*parts))[:4])
    check(was_put == got > 0 and put_sum == got_sum)
    took = max(part[4] for part in parts) * 1e3
    return got / took, took - ms


def produce(shares, passes, put, end, make, read):
    for file, parties, seconds in passes:
        until, count = meet(file, parties) + seconds, 0
        while time.time() < until:
            for i in range(count, count + BATCH):
                put(make(i))
            count += BATCH
        put(end)
    shares.put((count, sum(read(make(i)) for i in range(count)), 0, 0, 0))


def consume(shares, passes, get, end, read):
    for file, parties, _ in passes:
        start, count, total = arrive(file, parties), 0, 0
        while (item := get()) != end:
            count += 1
            total += read(item)
        took = time.time() - start
    shares.put((0, 0, count, total, took))


def channel(of, maxsize):
    """How to put into it, to get from it, and what says that nothing follows."""
    if of.startswith("Pipe"):
        source, sink = multiprocessing.Pipe(duplex=False)
        return (sink.send_bytes, source.recv_bytes, b"") if of == "Pipe, bytes" else (sink.send, source.recv, None)
    module, name = (queue, of.removeprefix("queue.")) if of.startswith("queue.") else (multiprocessing, of)
    made = getattr(module, name)(*([maxsize] if maxsize else []))
    return made.put, made.get, None


def items(item, size):
    """Each tells which it is; bytes, which it would take a copy to change, have to be as many as were put."""
    if item == "bytes":
        data = bytes(size)
        return (lambda _: data), (lambda got: check(len(got) == size) or 0)
    if item == "object":
        return (lambda i: {"id": i, "name": "a small item", "done": False}), (lambda got: got["id"])
    return (lambda i: i), (lambda got: got)


def start_and_join(method):
    if method == "os.fork":
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return
    process = multiprocessing.get_context(method).Process(target=nothing)
    process.start()
    process.join()


def start_and_join_thread():
    thread = threading.Thread(target=nothing)
    thread.start()
    thread.join()


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
