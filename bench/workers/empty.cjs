/** Runs an empty function, and ends. */
(() => {})();
