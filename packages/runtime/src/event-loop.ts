// Lets the event loop go round once. Work that computes on the caller's own thread settles in microtasks only, and those run
// before everything else: without a turn in between, a whole generation would hold back every timer, message and socket.

/** Resolves behind what waits for the event loop now: timers that are due, messages, sockets. */
export function turnOfEventLoop(): Promise<void> {
  const immediate = (globalThis as { setImmediate?: (done: () => void) => unknown }).setImmediate;
  return new Promise((resolve) => {
    if (immediate) return void immediate(resolve);
    // A browser's setTimeout waits 4 ms when it is nested; a message does not.
    const { port1, port2 } = new MessageChannel();
    const done = (): void => {
      port1.close();
      resolve();
    };
    port1.addEventListener('message', done, { once: true });
    port1.start();
    port2.postMessage(null);
  });
}
