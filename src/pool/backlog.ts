import type { Task } from './task.js';

/** Entries that have been taken or called off, beyond which a line is written anew, without them. */
const MOST_SPENT = 1024;

/** Those of one priority. What was called off stays in its place until that comes up, or until it is too much. */
interface Line {
  /** Those that had left and came back, the oldest last. All are older than those in `tasks`. */
  readonly back: Task[];
  /** From `next` on, the oldest first. */
  tasks: Task[];
  next: number;
  /** How many of both wait. */
  count: number;
}

/** Tasks that wait in the pool's process: the lowest priority number first, the oldest first among equals. */
export class Backlog {
  readonly #lines = new Map<number, Line>();
  /** Priorities of which there are some, in ascending order. */
  #order: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Do all have the same priority? */
  get isUniform(): boolean {
    return this.#order.length <= 1;
  }

  add(task: Task): void {
    this.#line(task.priority).tasks.push(task);
    this.#count(task);
  }

  /** Takes tasks back that had been taken from here. `tasks`: all of those of their priority that came back now. */
  addBack(tasks: Task[]): void {
    tasks.sort((a, b) => b.id - a.id);
    for (const task of tasks) {
      this.#line(task.priority).back.push(task);
      this.#count(task);
    }
  }

  /** The next one, which stays; undefined: there is none. */
  peek(): Task | undefined {
    if (this.#size === 0) return undefined;
    const line = this.#lines.get(this.#order[0]) as Line;
    for (let task = line.back.at(-1); task; task = line.back.at(-1)) {
      if (task.waits) return task;
      line.back.pop();
    }
    while (!line.tasks[line.next].waits) this.#pass(line);
    return line.tasks[line.next];
  }

  /** Takes one out: the next, or any other. False: it is not here. */
  remove(task: Task): boolean {
    if (!task.waits) return false;
    task.waits = false;
    this.#size--;
    const line = this.#lines.get(task.priority) as Line;
    if (--line.count === 0) {
      this.#lines.delete(task.priority);
      this.#order.splice(this.#order.indexOf(task.priority), 1);
    } else if (line.back.at(-1) === task) line.back.pop();
    else if (line.tasks[line.next] === task) this.#pass(line);
    else if (line.back.length + line.tasks.length - line.next > 2 * line.count + MOST_SPENT) this.#tidy(line);
    return true;
  }

  [Symbol.iterator](): Iterator<Task> {
    const all = [...this.#lines.values()].flatMap(({ back, tasks }) => [...back, ...tasks]);
    return all.filter(task => task.waits)[Symbol.iterator]();
  }

  #count(task: Task): void {
    task.waits = true;
    this.#size++;
    (this.#lines.get(task.priority) as Line).count++;
  }

  #line(priority: number): Line {
    let line = this.#lines.get(priority);
    if (!line) {
      line = { back: [], tasks: [], next: 0, count: 0 };
      this.#lines.set(priority, line);
      this.#order.push(priority);
      this.#order.sort((a, b) => a - b);
    }
    return line;
  }

  #pass(line: Line): void {
    line.next++;
    if (line.next >= MOST_SPENT && line.next * 2 >= line.tasks.length) {
      line.tasks = line.tasks.slice(line.next);
      line.next = 0;
    }
  }

  #tidy(line: Line): void {
    line.tasks = line.tasks.slice(line.next).filter(task => task.waits);
    line.next = 0;
    const back = line.back.filter(task => task.waits);
    line.back.splice(0, line.back.length, ...back);
  }
}
