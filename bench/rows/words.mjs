/**
 * What rows are written in. A row says what is measured, of whom, and what ours must reach.
 *
 * A contender is `ours`, a `peer` (compared with), or a `floor` (what the platform allows: it does less than a pool or a
 * process with a result must, and is not compared with). The first of ours is the one that the targets speak of.
 */
export const ours = (name, options) => ({ name, role: 'ours', module: 'manyhands', options });
export const node = (name, role, options) => ({ name, role, module: 'node', options });
export const python = (name, options) => ({ name, role: 'peer', module: 'cpython', options });

/** `times` better than the best of the peers whose names match. */
export const better = (times, than, words) => ({ times, than, words });
/** No worse than this, in the row's unit. The figure is of an idle machine; the ratios say more. */
export const reach = value => ({ value });
