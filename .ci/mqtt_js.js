// MQTT.js, as it comes from npm, against `windlass hub`: mqtt_js.js PORT
//
// Both versions over TCP and WebSocket: every QoS, small and large.

const mqtt = require('mqtt');

const port = process.argv[2];
const WAIT_MS = 10_000;

async function check(url, protocolVersion) {
  const tag = `${protocolVersion}${new URL(url).protocol}`;
  const connect = (name) => mqtt.connectAsync(url, { protocolVersion, clientId: `${name}${tag}` });
  const [sender, receiver] = [await connect('sender'), await connect('receiver')];
  const heard = [];
  const wanted = [];
  const all = new Promise((done) => {
    receiver.on('message', (topic, payload, packet) => {
      heard.push(`${packet.qos} ${payload.length}`);
      if (heard.length === 12) done();
    });
  });
  await receiver.subscribeAsync(`${tag}/#`, { qos: 2 });
  for (const size of [0, 1, 200, 100_000]) {
    for (const qos of [0, 1, 2]) {
      wanted.push(`${qos} ${size}`);
      await sender.publishAsync(`${tag}/x`, Buffer.alloc(size), { qos });
    }
  }
  const late = new Promise((_, fail) => {
    setTimeout(() => fail(new Error(`${tag}: only ${heard.length} messages`)), WAIT_MS).unref();
  });
  await Promise.race([all, late]);
  if (heard.sort().join() !== wanted.sort().join()) throw new Error(`${tag}: ${heard}`);
  await sender.endAsync();
  await receiver.endAsync();
}

async function main() {
  for (const version of [4, 5]) {
    await check(`mqtt://127.0.0.1:${port}`, version);
    await check(`ws://127.0.0.1:${port}/mqtt`, version);
  }
  console.log('MQTT.js: both versions over TCP and WebSocket');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
