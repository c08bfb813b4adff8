// openvino-node declares its classes as interfaces that carry their own construct signature, which no TypeScript class can
// satisfy. Here the members are separated from it, so that `implements` checks every one of them.

export type Members<T> = { [K in keyof T]: T[K] };

/** An instance as the declarations want it. */
export function declared<T>(instance: Members<T>): T {
  return instance as T;
}

/** A class as the declarations want it: they give class and instance one name. */
export function declaredClass<T>(constructor: new (...args: never[]) => Members<T>): T {
  return constructor as unknown as T;
}
