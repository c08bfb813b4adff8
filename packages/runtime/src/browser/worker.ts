// The model worker: opens one model on one target and serves it to the page. It is thrown away with everything in it
// when its target fails, so it has no fallback of its own.

import * as Comlink from 'comlink';
import type { TargetId } from '../backend.ts';
import { RuntimeError } from '../errors.ts';
import type { LocalModel } from '../local-model.ts';
import { measureSpeed } from '../measure.ts';
import { openModel } from '../open-model.ts';
import type { LocalSession } from '../session.ts';
import { modelFiles } from './model-source.ts';
import { packRows } from './packed-rows.ts';
import { browserTargetSet } from './targets.ts';
import { OPENING, type ModelWorker } from './worker-face.ts';
import { reply, replyMoving, sendStream, underPort } from './wire.ts';

let model: LocalModel | null = null;
const sessions = new Map<number, LocalSession>();
let nextSession = 1;

const theModel = (): LocalModel => {
  if (!model) throw new RuntimeError('closed', 'no model is open in this worker');
  return model;
};

const theSession = (number: number): LocalSession => {
  const session = sessions.get(number);
  if (!session) throw new RuntimeError('closed', `session ${number} is closed`);
  return session;
};

const face: ModelWorker = {
  open: (source, target: TargetId, options, onProgress, port) =>
    reply(async () => {
      if (model) throw new RuntimeError('bad-input', 'this worker already holds a model');
      const files = await underPort(port, (signal) => modelFiles(source, onProgress, signal));
      onProgress({ stage: `${OPENING} ${target}` });
      // Signs of life for a page that gives up a worker without any; not for ever, for waiting can be endless too.
      const { patienceMs = 60_000 } = options;
      const until = performance.now() + 4 * patienceMs;
      const beat = setInterval(() => {
        if (performance.now() < until) onProgress({ stage: `${OPENING} ${target}` });
      }, patienceMs / 4);
      try {
        model = await openModel(files, {
          ...options.decoder,
          ...options.session,
          targets: browserTargetSet(options.patienceMs),
          target,
          fallback: false,
        });
      } finally {
        clearInterval(beat);
      }
      const { manifest, capabilities, backend } = model;
      return { manifest, capabilities, target: backend.target, description: backend.description };
    }),
  measure: () => reply(() => measureSpeed(theModel().backend)),
  renderChat: (messages, options) => reply(() => theModel().renderChat(messages, options)),
  openSession: () =>
    reply(async () => {
      const session = await theModel().openSession();
      // Numbered when it is there: several may be opening at once.
      sessions.set(nextSession, session);
      return nextSession++;
    }),
  encode: (session, text) =>
    replyMoving(
      async () => Int32Array.from(await theSession(session).encode(text)),
      (ids) => [ids.buffer],
    ),
  beginnings: (session, text) => reply(() => theSession(session).beginnings(text)),
  sync: (session, text, options, port) =>
    replyMoving(
      () =>
        underPort(port, async (signal) => {
          const { watched, ...rest } = await theSession(session).sync(text, { ...options, signal });
          return { ...rest, watched: packRows(watched) };
        }),
      ({ watched }) => [watched.numbers.buffer],
    ),
  state: (session) => reply(() => theSession(session).state()),
  closeSession: (session) =>
    reply(async () => {
      await sessions.get(session)?.close();
      sessions.delete(session);
    }),
  generate: (session, prompt, options, port) =>
    sendStream(port, (signal) =>
      session === null
        ? theModel().generate(prompt, { ...options, signal })
        : theSession(session).generate({ ...options, signal }),
    ),
  close: () =>
    reply(async () => {
      await Promise.all([...sessions.values()].map((s) => s.close()));
      sessions.clear();
      await model?.close();
      model = null;
    }),
};

// ONNX Runtime's pthread workers may load this file too (they are named em-pthread); they must not serve a model.
if (!self.name.startsWith('em-pthread')) Comlink.expose(face);
