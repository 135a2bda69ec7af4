/* Loads all that registers its objects with the codec: whoever receives one must know its class. */
import './barrier.js';
import './condition.js';
import './event-flag.js';
import './lock.js';
import './rlock.js';
import './rw-lock.js';
import './semaphore.js';
import './table-lock.js';
