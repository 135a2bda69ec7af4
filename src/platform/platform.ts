/** The one door to the clock and to facts about the machine: whoever imports these can be tested with others. */
export { epoch, now } from './clock.js';
export { cpuCount, type Machine, memoryAvailable, memoryLimit } from './resources.js';
export { isSupported, libc, type Target, target } from './target.js';
