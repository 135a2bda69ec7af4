/** Which format this is. To be counted up with any change to it: what lies in a file says of which it is. */
export const FORMAT = 1;

/**
 * The format, one byte of tag before each value. It lives between processes of one program version, and may change with any
 * release, which then refuses what a former one left in a file. Numbers are little-endian; `n` is a varint
 * (seven bits a byte, low ones first); `str` is a string value with its tag; `value` is any value with its tag.
 *
 *   message     [PREFIX] value [buffers]
 *   PREFIX      0xff, flags; if MODULES: n, str…; if BUFFERS: n (length of the value in bytes)
 *               Only what is needed is there: a message of plain data without shared references has no prefix.
 *   buffers     n runs of bytes {zeros before them (alignment), n, bytes}, then for each view in the order of the
 *               value {run, offset in it}: views that touch or overlap share one ArrayBuffer, nothing else is copied
 *
 *   0x00–0x7f   the integer 0…127
 *   0x80–0x9f   string of 0…31 latin1 characters, one byte each
 *   0xa0–0xaf   array of 0…15 elements, each a value, `hole` or `holes`
 *   0xb0–0xbf   object of the message's shape 0…15, its values in the order of the shape's keys
 *   0xc0…       see TAG
 *
 * A shape is a list of keys. It is defined where its first object stands (`define`) and numbered in that order. Each
 * side keeps shapes it has met, so that a definition is copied there and compared here, without making strings.
 *
 * References. Objects are numbered in the order in which they begin. Unless flag SHARED says that the message
 * refers back to one, the reader keeps no list of them. Functions and classes have numbers of their own.
 */
export const TAG = {
  shortString: 0x80,
  smallArray: 0xa0,
  smallShape: 0xb0,

  undefined: 0xc0,
  null: 0xc1,
  true: 0xc2,
  false: 0xc3,
  /** A missing element, in arrays only. */
  hole: 0xc4,
  /** n missing elements. */
  holes: 0xc5,
  /** One byte. */
  int8: 0xc6,
  int16: 0xc7,
  int32: 0xc8,
  float64: 0xc9,
  /** Eight bytes. */
  bigint64: 0xca,
  /** Byte 1 if negative, str of hexadecimal digits. */
  bigint: 0xcb,
  /** n, one byte a character. */
  latin1: 0xcc,
  /** n, two bytes a code unit: lone surrogates survive. */
  utf16: 0xcd,
  /** Symbol.for(str). */
  registeredSymbol: 0xce,
  /** Symbol[str]. */
  wellKnownSymbol: 0xcf,

  /** n of an object that began earlier. */
  reference: 0xd0,
  /** n elements. */
  array: 0xd1,
  /** n elements, then fields: the own properties that are no elements. */
  arrayWithFields: 0xd2,
  /** Two bytes of hash, two of length, definition {n, str…} of that length, values. */
  define: 0xd3,
  /** n of a shape above 15, values. */
  shape: 0xd4,
  /** n pairs str, value: an object with too many or too long keys for a shape. */
  dictionary: 0xd5,
  /** fields of an object without prototype. */
  nullPrototype: 0xd6,
  /** value: its prototype, fields. */
  withPrototype: 0xd7,
  /** Byte 1 and a built-in value it extends, or byte 0; value: its class; fields. */
  instance: 0xd8,
  /** str: id, value: what the handle's type made of it. */
  handle: 0xd9,

  date: 0xda,
  regexp: 0xdb,
  /** n pairs value, value. */
  map: 0xdc,
  /** n values. */
  set: 0xdd,
  boxed: 0xde,
  url: 0xdf,
  urlSearchParams: 0xe0,
  /** str: class; value: stack; n pairs str, value of properties that are not enumerable; fields. */
  error: 0xe1,
  /** str: remoteName, then as `error` after its class. */
  remoteError: 0xe2,
  /** str: name, str: message, value: stack. */
  domException: 0xe3,
  arrayBuffer: 0xe4,
  /** Byte: type (see views.ts), n elements. */
  view: 0xe5,

  /** n of a function or class that began earlier. */
  functionReference: 0xe8,
  /** n of the module, n names, str…: the way to it. */
  imported: 0xe9,
  /** fields of its description; n captures {str name, byte 0 | byte 1, n module, str export}; values; fields; fields of its prototype. */
  source: 0xea,
  /** str: a function or object of the language itself, such as `Math.max`. */
  intrinsic: 0xeb,

  prefix: 0xff,
} as const;

/** Flags of the prefix. */
export const FLAG = { shared: 1, modules: 2, buffers: 4 } as const;

/** Objects made by Object.create() may stand on so many others of their kind, one above the other. */
export const MOST_PROTOTYPES = 100;
