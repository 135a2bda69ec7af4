import type { Task } from './task.js';

/** Entries that have been taken or called off, beyond which what holds them is written anew, without them. */
const MOST_SPENT = 1024;

/** Those of one priority. What was called off stays in its place until that comes up, or until it is too much. */
interface Line {
  readonly priority: number;
  /** Those that had left and came back, the oldest last. All are older than those in `tasks`. */
  back: Task[];
  /** From `next` on, the oldest first. */
  tasks: (Task | undefined)[];
  next: number;
  /** How many of both wait. */
  count: number;
}

/** Tasks that wait in the pool's process: the lowest priority number first, the oldest first among equals. */
export class Backlog {
  readonly #lines = new Map<number, Line>();
  /** All lines as a binary heap, the most urgent first. One in which nobody waits any more goes when it comes up. */
  #order: Line[] = [];
  /** Lines in which somebody waits. */
  #used = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds one that is younger than all of its priority. */
  add(task: Task): void {
    const line = this.#line(task.priority);
    line.tasks.push(task);
    this.#count(line, task);
  }

  /** Takes tasks back that had been taken from here. */
  addBack(tasks: Task[]): void {
    tasks.sort((a, b) => b.id - a.id);
    for (const task of tasks) {
      const line = this.#line(task.priority);
      const { back } = line;
      back.push(task);
      if (back.length > 1 && back[back.length - 2].id < task.id) back.sort((a, b) => b.id - a.id);
      this.#count(line, task);
    }
  }

  /** The next one, which stays; undefined: there is none. */
  peek(): Task | undefined {
    if (this.#size === 0) return undefined;
    const line = this.#first();
    for (let task = line.back.at(-1); task; task = line.back.at(-1)) {
      if (task.waits) return task;
      line.back.pop();
    }
    for (let task = line.tasks[line.next]; !task?.waits; task = line.tasks[line.next]) this.#pass(line);
    return line.tasks[line.next];
  }

  /** Takes one out: the next, or any other. False: it is not here. */
  remove(task: Task): boolean {
    if (!task.waits) return false;
    task.waits = false;
    this.#size--;
    const line = this.#lines.get(task.priority) as Line;
    line.count--;
    if (line.back.at(-1) === task) line.back.pop();
    else if (line.tasks[line.next] === task) this.#pass(line);
    if (line.count === 0) this.#leave(line);
    else if (line.back.length + line.tasks.length - line.next > 2 * line.count + MOST_SPENT) this.#tidy(line);
    return true;
  }

  [Symbol.iterator](): Iterator<Task> {
    const all = this.#order.flatMap(({ back, tasks }) => [...back, ...tasks]);
    return all.flatMap(task => (task?.waits ? task : []))[Symbol.iterator]();
  }

  #count(line: Line, task: Task): void {
    task.waits = true;
    this.#size++;
    if (line.count++ === 0) this.#used++;
  }

  #pass(line: Line): void {
    line.tasks[line.next++] = undefined;
    if (line.next >= MOST_SPENT && line.next * 2 >= line.tasks.length) {
      line.tasks = line.tasks.slice(line.next);
      line.next = 0;
    }
  }

  #tidy(line: Line): void {
    line.tasks = line.tasks.slice(line.next).filter(task => task?.waits);
    line.next = 0;
    line.back = line.back.filter(task => task.waits);
  }

  // ── lines ──

  #line(priority: number): Line {
    let line = this.#lines.get(priority);
    if (!line) {
      line = { priority, back: [], tasks: [], next: 0, count: 0 };
      this.#lines.set(priority, line);
      this.#order.push(line);
      this.#rise(this.#order.length - 1);
    }
    return line;
  }

  /** The most urgent in which somebody waits. There must be one. */
  #first(): Line {
    while (this.#order[0].count === 0) {
      this.#lines.delete(this.#order[0].priority);
      const last = this.#order.pop() as Line;
      if (this.#order.length === 0) break;
      this.#order[0] = last;
      this.#sink();
    }
    return this.#order[0];
  }

  /** Nobody waits in it any more. */
  #leave(line: Line): void {
    this.#used--;
    line.back = [];
    line.tasks = [];
    line.next = 0;
    if (this.#order.length <= 2 * this.#used + MOST_SPENT) return;
    const spent = this.#order.filter(({ count }) => count === 0);
    for (const { priority } of spent) this.#lines.delete(priority);
    this.#order = [...this.#lines.values()].sort((a, b) => (a.priority < b.priority ? -1 : 1)); // a heap, too
  }

  #rise(from: number): void {
    const order = this.#order;
    const line = order[from];
    let at = from;
    for (let above = (at - 1) >> 1; at > 0 && order[above].priority > line.priority; above = (at - 1) >> 1) {
      order[at] = order[above];
      at = above;
    }
    order[at] = line;
  }

  #sink(): void {
    const order = this.#order;
    const line = order[0];
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below + 1 < order.length && order[below + 1].priority < order[below].priority) below++;
      if (below >= order.length || order[below].priority >= line.priority) break;
      order[at] = order[below];
      at = below;
    }
    order[at] = line;
  }
}
