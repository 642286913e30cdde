// A page in headless Chromium that subscribes at `windlass hub` over WebSocket, with MQTT.js as it comes from npm:
// mqtt_page.js PORT
//
// This program serves the page, publishes over TCP what the page is to hear, and is told by the page what it has heard.

const { spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const mqtt = require('mqtt');

const port = process.argv[2];
const WAIT_MS = 60_000;
const SCRIPT = fs.readFileSync(path.join(path.dirname(require.resolve('mqtt/package.json')), 'dist', 'mqtt.min.js'));

// What runs in the page: it subscribes in both versions, says that it has, and then what has come.
const PAGE = `<!doctype html><meta charset="utf-8"><title>MQTT</title>
<script src="/mqtt.js"></script>
<script>
const tell = (what, said) => fetch('/' + what, { method: 'POST', body: JSON.stringify(said) });
addEventListener('error', (event) => tell('failed', String(event.message)));
addEventListener('unhandledrejection', (event) => tell('failed', String(event.reason)));
(async () => {
  const heard = [];
  const clients = [];
  for (const protocolVersion of [4, 5]) {
    const options = { protocolVersion, clientId: 'page' + protocolVersion, reconnectPeriod: 0 };
    const client = await mqtt.connectAsync('ws://127.0.0.1:${port}/mqtt', options);
    client.on('message', (topic, payload, packet) => {
      heard.push([protocolVersion, topic, payload.length, packet.qos, packet.retain].join(' '));
      if (heard.length === 8) tell('heard', heard.sort());
    });
    await client.subscribeAsync('page/#', { qos: 2 });
    clients.push(client);
  }
  await clients[1].publishAsync('page/ready', 'of the page', { qos: 1 });
  await tell('ready', '');
})();
</script>`;

async function main() {
  const publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
  await publisher.publishAsync('page/kept', 'on', { qos: 1, retain: true });
  const wanted = [4, 5].flatMap((version) => [
    `${version} page/kept 2 1 true`,
    `${version} page/ready 11 1 false`,
    `${version} page/now 5 2 false`,
    `${version} page/large 200000 0 false`,
  ]);

  let told;
  const outcome = new Promise((done, fail) => {
    told = async (what, said) => {
      if (what === '/ready') {
        await publisher.publishAsync('page/now', 'hello', { qos: 2 });
        await publisher.publishAsync('page/large', Buffer.alloc(200_000));
      } else if (what === '/heard') {
        done(said);
      } else {
        fail(new Error(`the page: ${said}`));
      }
    };
    setTimeout(() => fail(new Error('the page has said nothing')), WAIT_MS).unref();
  });
  const server = http.createServer(async (request, response) => {
    if (request.method === 'POST') {
      const parts = [];
      for await (const part of request) parts.push(part);
      told(request.url, JSON.parse(Buffer.concat(parts)));
      response.end();
    } else if (request.url === '/mqtt.js') {
      response.setHeader('content-type', 'text/javascript');
      response.end(SCRIPT);
    } else if (request.url === '/') {
      response.setHeader('content-type', 'text/html');
      response.end(PAGE);
    } else {
      response.statusCode = 404;
      response.end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'page'));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
  const browser = spawn(
    'chromium',
    [...flags, `--user-data-dir=${profile}`, '--remote-debugging-port=0', `http://127.0.0.1:${server.address().port}/`],
    { stdio: 'ignore', detached: true },
  );
  try {
    const heard = await outcome;
    if (heard.join() !== wanted.sort().join()) throw new Error(`the page has heard ${heard.join(', ')}`);
  } finally {
    // With all that it has started.
    process.kill(-browser.pid, 'SIGKILL');
    server.close();
    await publisher.publishAsync('page/kept', '', { retain: true });
    await publisher.endAsync();
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
  console.log('MQTT.js in a page of Chromium: both versions over WebSocket');
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
