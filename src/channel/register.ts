/* Loads all that registers its objects with the codec: whoever receives one must know its class. */
import '../sync/register.js';
import './pipe-end.js';
import './joinable-queue.js';
import './lifo-queue.js';
import './priority-queue.js';
import './queue.js';
import './simple-queue.js';
