"""
Prints the public names that docs/migration/python.md has to tell of, as src/testing/python-names.txt holds them:

    python3.13 scripts/python-names.py > src/testing/python-names.txt

Those are the modules' __all__, and the public members of their classes; of what __all__ leaves out, what the documentation names.
Names of Python 3.14 that 3.13 does not have are added by hand.
"""

import concurrent.futures
import concurrent.futures.process
import concurrent.futures.thread
import multiprocessing
import multiprocessing.connection
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.queues
import multiprocessing.shared_memory
import multiprocessing.sharedctypes
import multiprocessing.synchronize
import queue
import sys
import threading

MODULES = [
    'multiprocessing',
    'multiprocessing.connection',
    'multiprocessing.managers',
    'multiprocessing.pool',
    'multiprocessing.shared_memory',
    'multiprocessing.sharedctypes',
    'threading',
    'queue',
    'concurrent.futures',
]

# Documented, but not in __all__.
DOCUMENTED = {
    'multiprocessing': ['dummy'],
    'multiprocessing.connection': ['Connection', 'answer_challenge', 'deliver_challenge'],
    'multiprocessing.managers': [
        'AcquirerProxy',
        'ArrayProxy',
        'BarrierProxy',
        'ConditionProxy',
        'DictProxy',
        'EventProxy',
        'ListProxy',
        'Namespace',
        'NamespaceProxy',
        'PoolProxy',
        'ValueProxy',
    ],
    'multiprocessing.pool': ['AsyncResult'],
    'threading': ['__excepthook__', 'activeCount', 'currentThread'],
    'concurrent.futures.process': ['BrokenProcessPool'],
    'concurrent.futures.thread': ['BrokenThreadPool'],
}

# In __all__ or public by name, but not for users.
INTERNAL = {
    'multiprocessing.pool.Pool.Process',
    'multiprocessing.pool.ThreadPool.Process',
    'threading.ExceptHookArgs.count',
    'threading.ExceptHookArgs.index',
    'threading.ExceptHookArgs.n_fields',
    'threading.ExceptHookArgs.n_sequence_fields',
    'threading.ExceptHookArgs.n_unnamed_fields',
    'threading.Lock.acquire_lock',  # aliases of the days of the module thread
    'threading.Lock.release_lock',
    'threading.Lock.locked_lock',
}

# New in Python 3.14.
LATER = """
concurrent.futures.InterpreterPoolExecutor
concurrent.futures.ProcessPoolExecutor.kill_workers
concurrent.futures.ProcessPoolExecutor.terminate_workers
concurrent.futures.interpreter.BrokenInterpreterPool
multiprocessing.BoundedSemaphore.locked
multiprocessing.Lock.locked
multiprocessing.Process.interrupt
multiprocessing.RLock.locked
multiprocessing.Semaphore.locked
multiprocessing.managers.DictProxy.fromkeys
multiprocessing.managers.ListProxy.clear
multiprocessing.managers.ListProxy.copy
multiprocessing.managers.SyncManager.set
threading.RLock.locked
""".split()


def public(thing):
    return [name for name in dir(thing) if not name.startswith('_')]


def members():
    """Each class or object with members to tell of, by its full name. Objects where the members are made with them."""
    yield 'multiprocessing.Process', multiprocessing.Process
    for name in ['Lock', 'RLock', 'Semaphore', 'BoundedSemaphore', 'Condition', 'Event']:
        yield f'multiprocessing.{name}', getattr(multiprocessing, name)()
    yield 'multiprocessing.Barrier', multiprocessing.synchronize.Barrier
    for name in ['Queue', 'JoinableQueue', 'SimpleQueue']:
        yield f'multiprocessing.{name}', getattr(multiprocessing.queues, name)
    yield 'multiprocessing.Value', multiprocessing.Value('i')
    yield 'multiprocessing.Array', multiprocessing.Array('c', 1)
    yield 'multiprocessing.pool.Pool', multiprocessing.pool.Pool
    yield 'multiprocessing.pool.AsyncResult', multiprocessing.pool.AsyncResult
    yield 'multiprocessing.pool.IMapIterator', multiprocessing.pool.IMapIterator
    yield 'multiprocessing.connection.Connection', multiprocessing.connection.Connection
    yield 'multiprocessing.connection.Listener', multiprocessing.connection.Listener
    for name in ['SharedMemory', 'ShareableList']:
        yield f'multiprocessing.shared_memory.{name}', getattr(multiprocessing.shared_memory, name)
    managers = multiprocessing.managers
    yield 'multiprocessing.managers.BaseManager', managers.BaseManager
    for name in ['SyncManager', 'SharedMemoryManager']:
        own = set(public(getattr(managers, name))) - set(public(managers.BaseManager))
        yield f'multiprocessing.managers.{name}', own
    for name in ['ListProxy', 'DictProxy', 'ValueProxy', 'ArrayProxy']:
        yield f'multiprocessing.managers.{name}', getattr(managers, name)
    for name in ['Event', 'Semaphore', 'BoundedSemaphore', 'Barrier', 'Thread', 'Timer', 'ExceptHookArgs']:
        yield f'threading.{name}', getattr(threading, name)
    for name in ['Lock', 'RLock', 'Condition']:
        yield f'threading.{name}', getattr(threading, name)()
    for name in ['Queue', 'SimpleQueue']:
        yield f'queue.{name}', getattr(queue, name)
    for name in ['Executor', 'ProcessPoolExecutor', 'ThreadPoolExecutor', 'Future']:
        yield f'concurrent.futures.{name}', getattr(concurrent.futures, name)


def found():
    for name in MODULES:
        for each in sys.modules[name].__all__:
            yield f'{name}.{each}'
    for name, each_of in DOCUMENTED.items():
        for each in each_of:
            yield f'{name}.{each}'
    for name, thing in members():
        for each in thing if isinstance(thing, set) else public(thing):
            yield f'{name}.{each}'
    # Of these the documentation names members that do not look public, or that come with an object.
    yield 'multiprocessing.managers.BaseManager.shutdown'
    yield 'multiprocessing.managers.BaseProxy._callmethod'
    yield 'multiprocessing.managers.BaseProxy._getvalue'
    yield 'multiprocessing.managers.Server.serve_forever'
    yield 'multiprocessing.shared_memory.ShareableList.shm'


if sys.version_info[:2] != (3, 13):
    sys.exit('The list is that of Python 3.13: run it with that')
print('\n'.join(sorted((set(found()) | set(LATER)) - INTERNAL)))
