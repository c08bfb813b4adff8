// Checkpoints from a web server and from a hub, over real HTTP on this machine. The hub is a stand-in that answers the two
// requests that @huggingface/hub makes (the real one needs a network).
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { expect, it } from 'vitest';
import { fixture, withFolder } from '../../test/fixtures.ts';
import { compile, CompileError, hubSource, urlSource, type CheckpointSource } from '../index.ts';
import { compileDirectory, DirectorySink } from '../node/index.ts';

const SMALL = { context: 32, chunk: 8 };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function serving<T>(handler: Handler, work: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

interface Log {
  ranges: string[];
  bytes: number;
}

/** Serves a folder's files, by range where asked, and notes what was asked for. */
function fileServer(directory: string, log: Log = { ranges: [], bytes: 0 }): Handler {
  return ({ url, headers }, response) => {
    const file = path.join(directory, path.basename(url!.split('?')[0]!));
    if (!statSync(file, { throwIfNoEntry: false })) return void response.writeHead(404).end();
    const content = readFileSync(file);
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
    if (headers.range) log.ranges.push(headers.range);
    const etag = { etag: `"${path.basename(file)}"`, 'accept-ranges': 'bytes' };
    if (!range) {
      response.writeHead(200, { ...etag, 'content-length': content.length }).end(content);
      return;
    }
    const part = content.subarray(Number(range[1]), Number(range[2]) + 1);
    log.bytes += part.length;
    const position = `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${content.length}`;
    response.writeHead(206, { ...etag, 'content-length': part.length, 'content-range': position }).end(part);
  };
}

/** The same model as from the folder, byte for byte. */
async function expectSameAsFolder(name: string, source: CheckpointSource): Promise<void> {
  await withFolder(async (folder) => {
    const local = await compileDirectory(fixture(name).directory, path.join(folder, 'a'), SMALL);
    const remote = await compile(source, new DirectorySink(path.join(folder, 'b')), SMALL);
    expect(remote.manifest.files).toEqual(local.manifest.files);
  });
}

it('compiles a sharded checkpoint from a web server by ranges', async () => {
  const log: Log = { ranges: [], bytes: 0 };
  const { directory } = fixture('llama-biased');
  await serving(fileServer(directory, log), async (url) => {
    const source = await urlSource(`${url}/models/llama-biased`);
    expect((await source.list()).toSorted()).toEqual(
      readdirSync(directory)
        .filter((f) => !f.startsWith('reference'))
        .toSorted(),
    );
    await expectSameAsFolder('llama-biased', source);
  });
  expect(log.ranges.length).toBeGreaterThan(20);
});

it.each(['with', 'without'])(
  'takes each file whole, once, from a host that ignores ranges (%s its length)',
  async (length) => {
    const { directory } = fixture('qwen3');
    const asked: string[] = [];
    const plain: Handler = (request, response) => {
      const name = path.basename(request.url!);
      const file = path.join(directory, name);
      if (!existsSync(file)) return void response.writeHead(404).end();
      asked.push(name);
      const content = readFileSync(file);
      response.writeHead(200, length === 'with' ? { 'content-length': content.length } : {}).end(content);
    };
    await serving(plain, async (url) => {
      await expectSameAsFolder('qwen3', await urlSource(url));
    });
    expect(asked.toSorted()).toEqual([...new Set(asked)].toSorted());
    expect(asked).toContain('model.safetensors');
  },
);

it('says what is wrong with an address, a missing file and a large one on a server without ranges', async () => {
  const { directory } = fixture('qwen2');
  const fails = async (work: Promise<unknown>, code: string, message: RegExp) => {
    const error = await work.then(
      () => null,
      (e: unknown) => e as CompileError,
    );
    expect(error).toBeInstanceOf(CompileError);
    expect(error!.code).toBe(code);
    expect(error!.message).toMatch(message);
  };
  await serving(fileServer(path.dirname(directory)), async (url) => {
    await fails(urlSource(url), 'missing', /no config\.json there/);
  });
  const large: Handler = (request, response) => {
    const isWeights = request.url!.endsWith('model.safetensors');
    response.writeHead(200, { 'content-length': isWeights ? 2 ** 31 : 2 }).write('{}');
  };
  await serving(large, async (url) => {
    await fails(urlSource(url), 'source', /model\.safetensors: .*does not answer range requests/);
  });
  await serving(
    (_, response) => void response.writeHead(403).end(),
    async (url) => {
      await fails(urlSource(url), 'source', /HTTP 403/);
    },
  );
});

it.each([
  ['another server', 'http://elsewhere.invalid/model-00002-of-00002.safetensors'],
  ['another folder', '../private/model-00002-of-00002.safetensors'],
  ['the folder above', '..'],
])('asks nobody for the shard that an index puts on %s', async (_, shard) => {
  await withFolder(async (folder) => {
    cpSync(fixture('llama-biased').directory, folder, { recursive: true });
    const index = path.join(folder, 'model.safetensors.index.json');
    const text = readFileSync(index, 'utf8');
    writeFileSync(index, text.replaceAll('"model-00002-of-00002.safetensors"', JSON.stringify(shard)));
    const asked: string[] = [];
    await serving(fileServer(folder), async (url) => {
      const watched: typeof fetch = (input, init) => {
        asked.push(String(input));
        return fetch(input, init);
      };
      const source = await urlSource(`${url}/m`, { fetch: watched, headers: { authorization: 'secret' } });
      await expect(compile(source, new DirectorySink(path.join(folder, 'out')), SMALL)).rejects.toThrow(
        /1 of 2 shards named in model\.safetensors\.index\.json are missing/,
      );
      expect(asked.filter((address) => !address.startsWith(`${url}/m/`))).toEqual([]);
    });
    expect(asked.length).toBeGreaterThan(5);
  });
});

it('asks again when the server is busy or the connection drops', async () => {
  const serve = fileServer(fixture('qwen2').directory);
  let failures = 0;
  const shaky: Handler = (request, response) => {
    // The first two requests for weights fail, each in its own way.
    if (request.url?.endsWith('model.safetensors') && failures < 2) {
      failures++;
      if (failures === 1) return void response.writeHead(503).end();
      return void request.socket.destroy();
    }
    serve(request, response);
  };
  await serving(shaky, async (url) => {
    const source = await urlSource(url);
    expect(await source.size('model.safetensors')).toBe(
      statSync(path.join(fixture('qwen2').directory, 'model.safetensors')).size,
    );
  });
  expect(failures).toBe(2);
});

function hub(directory: string, seen: { authorization: (string | undefined)[] }): Handler {
  const files = fileServer(directory);
  return (request, response) => {
    seen.authorization.push(request.headers.authorization);
    const url = new URL(request.url!, 'http://hub');
    if (url.pathname === '/api/models/tiny/qwen3/tree/v1') {
      const entries = readdirSync(directory).map((file) => {
        return { type: 'file', path: file, oid: '0', size: statSync(path.join(directory, file)).size };
      });
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(entries));
    } else if (url.pathname.startsWith('/tiny/qwen3/resolve/v1/')) files(request, response);
    else
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"Repository not found"}');
  };
}

it('compiles a model by its hub id, revision and token', async () => {
  const seen: { authorization: (string | undefined)[] } = { authorization: [] };
  await serving(hub(fixture('qwen3').directory, seen), async (hubUrl) => {
    const source = await hubSource('tiny/qwen3', { revision: 'v1', accessToken: 'hf_secret', hubUrl });
    expect(await source.list()).toContain('config.json');
    expect(await source.list()).not.toContain('reference.bin');
    await expectSameAsFolder('qwen3', source);
    expect(seen.authorization.every((a) => a === 'Bearer hf_secret')).toBe(true);
    await expect(hubSource('tiny/absent', { hubUrl })).rejects.toThrow(
      /tiny\/absent: .*check the id and the revision/,
    );
  });
  await expect(hubSource('not an id')).rejects.toThrow(/is no Hugging Face id/);
});

it('asks the hub again for a file that it could not give before', async () => {
  const serve = hub(fixture('qwen3').directory, { authorization: [] });
  let down = true;
  const shaky: Handler = (request, response) =>
    down && request.url!.includes('/resolve/')
      ? void response.writeHead(503).end()
      : serve(request, response);
  await serving(shaky, async (hubUrl) => {
    const source = await hubSource('tiny/qwen3', { revision: 'v1', hubUrl });
    await expect(source.read('config.json', 0, 1)).rejects.toThrow(/tiny\/qwen3\/config\.json: /);
    down = false;
    expect(new TextDecoder().decode(await source.read('config.json', 0, 1))).toBe('{');
  });
});
