/** Are they one and the same type? `any` is the same as `any` alone. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `typeOf(value).is<T>()` compiles if that is what TypeScript takes the value for, neither more nor less. */
export declare function typeOf<T>(value: T): {
  is<U>(...unexpected: Same<T, U> extends true ? [] : [T]): void;
};
