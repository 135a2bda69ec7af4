/**
 * What a thread and its starter tell each other, each word once. It is not in the commons, so that none of it is lost or
 * freed too early when either ends at any moment.
 *   TID        the kernel's id of its Worker; 0: that is not there yet
 *   TAG        its participant; 0: the thread has not begun
 *   OUTCOME    of OUTCOME; the message lies in the port by then
 *   ENDING     of ENDING; CODE has been told by then
 *   BLOCKED    1: its starter blocks its event loop until the thread ends
 *   ARGS       a block that holds ends of pipes open (src/channel/tickets.ts) until the thread has decoded its task; and its number
 *   RESULT     one that holds them open until the starter has decoded the outcome; and its number
 *   READY      1: its Worker has loaded all that it needs
 *   BORN       1: what the thread has to do lies in the port. Its Worker sleeps on this word until then
 *   LATE       1: an error that ended it after the outcome was known lies in the port, behind the outcome
 *   CANCELLED  1: a Timer is not to call its target any more
 */
export const WORD = {
  TID: 0,
  TAG: 1,
  OUTCOME: 2,
  ENDING: 3,
  CODE: 4,
  BLOCKED: 5,
  ARGS: 6,
  ARGS_SERIAL: 7,
  RESULT: 8,
  RESULT_SERIAL: 9,
  READY: 10,
  BORN: 11,
  LATE: 12,
  CANCELLED: 13,
} as const;

/** How a thread ends that ends in order. */
export const ENDING = {
  NONE: 0,
  /** What is left to come, as its output, has come when it is gone. */
  BEGUN: 1,
  /** Nothing is: all that remains is to take down its Worker, for which nobody has to wait. */
  DONE: 2,
} as const;
