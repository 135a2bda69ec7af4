/* Loads all that registers its objects with the codec: whoever receives one must know its class. */
import '../channel/register.js';
import './shareable-list.js';
import './shared-array.js';
import './shared-list.js';
import './shared-map.js';
import './shared-memory.js';
import './value.js';
