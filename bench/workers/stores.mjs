/** What uses a shared store of ours, in a process of its own; and a class for managers to serve. */
import { takeSteps } from '../harness/store.mjs';

export const use = (shared, { of, ...options }) => takeSteps(stores[of](shared), options);

const stores = {
  SharedMap(map) {
    const increase = n => n + 1;
    return {
      set: (key, value) => map.set(key, value),
      get: key => map.get(key),
      add: key => map.update(key, increase),
    };
  },
  dict: dict => ({
    set: (key, value) => dict.set(key, value),
    get: key => dict.get(key),
    add: key => dict.add(key, 1),
  }),
  counter: proxy => ({ increment: x => proxy.increment(x) }),
};

export class Counter {
  increment(x) {
    return x + 1;
  }
}
