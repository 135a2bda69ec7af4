"""harness/store.mjs for CPython's managers: same names, same loops, one line of JSON."""
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.managers import BaseManager

from cpython import check, meet

KEYS = [f"key {i}" for i in range(1_000)]
COUNTER = "count"
BATCH = 100


class Counter:
    def increment(self, x):
        return x + 1


class Counters(BaseManager):
    pass


Counters.register("Counter", Counter)


def storeSteps(processes, ms, **options):
    shares = shares_of(processes, ms, **options)
    counted = [share[0] for share in shares]
    least = {"least": min(counted) / (sum(counted) / processes) * 100} if processes > 1 else {}
    return {"value": sum(counted) / ms, **least}


def storeTrip(**options):
    return {"value": 1e3 / storeSteps(**options)["value"]}


def shares_of(processes, ms, of, op, **_):
    manager, store = STORES[of]()
    shares = multiprocessing.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        args = (shares, store, op, os.path.join(folder, "ready"), processes, ms / 1e3)
        children = [multiprocessing.Process(target=take_steps, args=args) for _ in range(processes)]
        for child in children:
            child.start()
        found = [shares.get() for _ in children]
        for child in children:
            child.join()
    if op == "add":
        check(store[0][COUNTER] == sum(done for _, done in found))
    manager.shutdown()
    return found


def a_dict():
    manager = multiprocessing.Manager()
    return manager, (manager.dict({COUNTER: 0, **{key: i for i, key in enumerate(KEYS)}}), manager.Lock())


def a_counter():
    manager = Counters()
    manager.start()
    return manager, manager.Counter()


STORES = {"dict": a_dict, "counter": a_counter}


def take_steps(shares, store, op, file, parties, seconds):
    batch = STEPS[op](store)
    start = meet(file, parties) + seconds
    until, counted, done = start + seconds, 0, 0
    while time.time() < until:
        batch()
        done += BATCH
        if start <= time.time() < until:
            counted += BATCH
    shares.put((counted, done))


def setting(store):
    store, keys = store[0], itertools.cycle(KEYS)

    def batch():
        for i in range(BATCH):
            store[next(keys)] = i

    return batch


def getting(store):
    store, keys = store[0], itertools.cycle(KEYS)

    def batch():
        check(sum(store[next(keys)] for _ in range(BATCH)) >= 0)

    return batch


def adding(store):
    store, lock = store

    def batch():
        for _ in range(BATCH):
            with lock:
                store[COUNTER] += 1

    return batch


def incrementing(counter):
    def batch():
        x = 0
        for _ in range(BATCH):
            x = counter.increment(x)
        check(x == BATCH)

    return batch


STEPS = {"set": setting, "get": getting, "add": adding, "increment": incrementing}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))), flush=True)
