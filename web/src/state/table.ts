// A map that a batch changes in place behind a new face: whoever compares by identity sees that something changed,
// and a batch costs what it brings, however large the run is.

export class Table<T> implements ReadonlyMap<string, T> {
  constructor(private readonly held: Map<string, T> = new Map()) {}

  /** The same content as another object. */
  renewed(): Table<T> {
    return new Table(this.held);
  }

  set(id: string, value: T): void {
    this.held.set(id, value);
  }

  delete(id: string): void {
    this.held.delete(id);
  }

  get size(): number {
    return this.held.size;
  }

  get(id: string): T | undefined {
    return this.held.get(id);
  }

  has(id: string): boolean {
    return this.held.has(id);
  }

  forEach(each: (value: T, id: string, map: ReadonlyMap<string, T>) => void): void {
    this.held.forEach((value, id) => each(value, id, this));
  }

  entries(): MapIterator<[string, T]> {
    return this.held.entries();
  }

  keys(): MapIterator<string> {
    return this.held.keys();
  }

  values(): MapIterator<T> {
    return this.held.values();
  }

  [Symbol.iterator](): MapIterator<[string, T]> {
    return this.held.entries();
  }
}
