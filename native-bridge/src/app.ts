// The routes. Everything a request has to pass first is in door/, what it asks for in api/, what answers it in engine/.
import { randomUUID } from 'node:crypto';
import { isAbort } from '@baton/runtime/errors';
import { Hono, type Context } from 'hono';
import * as v from 'valibot';
import { ApiError, toApiError } from './api-error.ts';
import { parsed, whole } from './api/body.ts';
import { chatBody, chatEvents, parseChat } from './api/chat.ts';
import { completionBody, completionEvents, parseCompletion } from './api/completions.ts';
import { EVENT_STREAM_HEADERS, eventStream } from './api/event-stream.ts';
import { parseBody } from './api/generation-fields.ts';
import { bodyText, tellReadsAlong } from './api/read-ahead.ts';
import {
  generateBody,
  generateEvents,
  only,
  renderBody,
  stepwise,
  syncBody,
  syncEvents,
  tokenizeBody,
} from './api/sessions.ts';
import { primed, releasing, startRequest } from './api/run-request.ts';
import { door, type DoorOptions } from './door/door.ts';
import type { Engine } from './engine/engine.ts';
import type { RequestQueue } from './engine/queue.ts';
import type { Log } from './log.ts';
import { servePage } from './page/serve-page.ts';

export interface AppOptions {
  engine: Engine;
  queue: RequestQueue;
  door: DoorOptions;
  log: Log;
  /** Ends every running request. */
  shutdown: AbortSignal;
  /** Time within which a request must have come, in milliseconds. */
  withinMs: number;
  /** Folder of the built page, or null to serve none. */
  page: string | null;
}

/** Version of what the bridge speaks beside OpenAI's API: /health and /pair. */
const PROTOCOL = 'baton-bridge/1';

const pairBody = v.object({
  code: v.pipe(v.string(), v.maxLength(64)),
  name: v.optional(v.pipe(v.string(), v.maxLength(80))),
});

export function createApp(options: AppOptions): Hono {
  const { engine, queue, log } = options;
  const app = new Hono();
  app.onError((error, c) => respondError(c, error, log));
  app.notFound(() => {
    throw new ApiError(404, 'there is nothing at this address; see /v1/models', { code: 'not_found' });
  });
  app.use(async (c, next) => {
    const began = performance.now();
    c.header('x-request-id', `req_${randomUUID()}`);
    await next();
    if (c.req.path.startsWith('/v1/')) tellReadsAlong(c, engine, options.withinMs);
    log.request(c.req.method, c.req.routePath, c.res.status, performance.now() - began);
  });
  app.use(door(options.door));

  app.get('/health', (c) =>
    c.json({ status: 'ok', protocol: PROTOCOL, pairing: options.door.pairing ? 'required' : 'off' }),
  );
  app.post('/pair', async (c) => {
    const { pairing } = options.door;
    if (!pairing) throw new ApiError(404, 'this bridge needs no pairing', { code: 'not_found' });
    const { code, name } = parseBody(pairBody, await json(c));
    const origin = c.req.header('origin') ?? null;
    const token = pairing.exchange(code, origin, name ?? origin ?? 'program');
    log.info(`paired with ${origin ?? 'a program'}`);
    return c.json({ token, origin });
  });
  app.get('/v1/models', (c) => c.json({ object: 'list', data: [modelEntry(engine)] }));
  app.get('/v1/models/:id', (c) => {
    if (c.req.param('id') !== engine.info.id)
      throw new ApiError(404, `the only model here is ${engine.info.id}`, { code: 'model_not_found' });
    return c.json(modelEntry(engine));
  });
  app.get('/v1/status', (c) =>
    c.json({
      ...queue.state,
      ...engine.info.caches(),
      sessions: engine.stepwise?.sessions.count ?? 0,
      location: engine.info.location,
    }),
  );

  app.post('/v1/completions', async (c) => {
    const request = parseCompletion(parsed(await bodyText(c, engine, queue, options.shutdown)));
    checkModel(engine, request.model);
    return answer(c, request, (signal) => completionEvents(engine, request, signal), completionBody);
  });
  app.post('/v1/chat/completions', async (c) => {
    const request = parseChat(await json(c));
    checkModel(engine, request.model);
    return answer(c, request, (signal) => chatEvents(engine, request, signal), chatBody);
  });

  app.post('/v1/tokenize', async (c) => {
    const { text } = parseBody(tokenizeBody, await json(c));
    return c.json({ ids: stepwise(engine).encode(text) });
  });
  app.post('/v1/render', async (c) => {
    const { messages, addGenerationPrompt = true, variables = {} } = parseBody(renderBody, await json(c));
    return c.json({ text: await stepwise(engine).renderChat(messages, { addGenerationPrompt, variables }) });
  });
  app.post('/v1/sessions', async (c) => {
    await json(c);
    const { sessions, capacity } = stepwise(engine);
    return c.json({ session: await sessions.open(), capacity });
  });
  app.post('/v1/sessions/:id/sync', async (c) => {
    const body = parseBody(syncBody, await json(c));
    const events = (signal: AbortSignal) => syncEvents(stepwise(engine), c.req.param('id'), body, signal);
    return answer(c, { stream: false }, events, only);
  });
  app.post('/v1/sessions/:id/generate', async (c) => {
    const body = parseBody(generateBody, await json(c));
    const events = (signal: AbortSignal) => generateEvents(stepwise(engine), c.req.param('id'), body, signal);
    return answer(c, { stream: true, stream_options: null }, events, only, false);
  });
  app.post('/v1/sessions/:id/close', async (c) => {
    await json(c);
    await stepwise(engine).sessions.close(c.req.param('id'));
    return c.json({});
  });

  if (options.page !== null) servePage(app, options.page);

  async function answer<E extends { usage?: object | null }>(
    c: Context,
    request: {
      stream?: boolean | null | undefined;
      stream_options?: { include_usage?: boolean | null | undefined } | null | undefined;
    },
    events: (signal: AbortSignal) => AsyncGenerator<E>,
    whole: (events: AsyncIterable<E>) => Promise<object>,
    openai = true,
  ): Promise<Response> {
    const running = await startRequest(queue, c.req.raw.signal, options.shutdown);
    let streaming = false;
    try {
      if (!request.stream) return c.json(await whole(events(running.signal)));
      const source = events(running.signal);
      const wanted = request.stream_options?.include_usage ?? false;
      const started: AsyncGenerator<object> = await primed(openai ? withUsage(source, wanted) : source);
      streaming = true;
      const stream = eventStream(
        releasing(started, running),
        running.abort,
        (error) => isAbort(error) || log.error(error),
      );
      return c.body(stream, 200, EVENT_STREAM_HEADERS);
    } finally {
      if (!streaming) {
        running.abort();
        running.release();
      }
    }
  }
  return app;
}

/** As OpenAI has it: with include_usage every event has the field, null but in the last; without it none has. */
async function* withUsage<E extends { usage?: object | null }>(
  events: AsyncIterable<E>,
  wanted: boolean,
): AsyncGenerator<E> {
  for await (const event of events) {
    if (wanted) yield { ...event, usage: event.usage ?? null };
    else if (!event.usage) yield event;
  }
}

async function json(c: Context): Promise<unknown> {
  return parsed(await whole(c));
}

/** Clients that name no model or "default" get the one that is there. */
function checkModel(engine: Engine, wanted: string | null | undefined): void {
  if (
    wanted === null ||
    wanted === undefined ||
    wanted === '' ||
    wanted === 'default' ||
    wanted === engine.info.id
  )
    return;
  throw new ApiError(404, `the only model here is ${engine.info.id}`, {
    code: 'model_not_found',
    param: 'model',
  });
}

function modelEntry(engine: Engine): object {
  const { id, location, contextLength, chatTemplate, mode } = engine.info;
  return {
    id,
    object: 'model',
    created: STARTED,
    owned_by: 'baton',
    max_model_len: contextLength,
    chat_template: chatTemplate,
    mode,
    location,
    sessions: engine.stepwise !== null,
  };
}

const STARTED = Math.floor(Date.now() / 1000);

function respondError(c: Context, error: unknown, log: Log): Response {
  // The client has gone; nobody reads this.
  if (isAbort(error)) return c.body(null, 499 as 400);
  const api = toApiError(error);
  if (api.status >= 500) log.error(error);
  for (const [name, value] of Object.entries(api.details.headers ?? {})) c.header(name, value);
  return c.json(api.body(), api.status as 400);
}
