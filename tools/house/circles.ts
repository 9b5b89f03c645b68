/** Cycles in a graph. @module */

/** A directed graph: each node with the nodes it points to. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Finds one cycle per strongly connected component, as a path that ends where it begins: `["a",
 * "b", "a"]`.
 */
export function circles(graph: Graph): readonly (readonly string[])[] {
  const done = new Set<string>();
  const found: (readonly string[])[] = [];
  for (const start of [...graph.keys()].sort()) {
    if (done.has(start)) continue;
    const circle = shortestWayBack(graph, start);
    if (circle === null) continue;
    found.push(circle);
    for (const node of circle) done.add(node);
  }
  return found;
}

/** The shortest path from a node to itself, breadth first. */
function shortestWayBack(graph: Graph, start: string): string[] | null {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (next === start) {
        const path = [start, node];
        for (let at = node; at !== start;) {
          at = cameFrom.get(at) as string;
          path.push(at);
        }
        return node === start ? [start, start] : path.reverse();
      }
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  return null;
}
